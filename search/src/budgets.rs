//! Limits of what a plan may cost. They are kept, not weighed.

use crate::SearchError;

/// One limit, or none, for each cost of the surrogate.
#[derive(Debug, Clone, PartialEq)]
pub struct Budgets {
    limits: Vec<f64>,
}

impl Budgets {
    /// Limits in the order of the surrogate's quantities.
    ///
    /// # Errors
    /// Another number of limits than quantities, or a limit that is no positive number.
    pub fn new(quantities: &[String], limits: &[Option<f64>]) -> Result<Self, SearchError> {
        if limits.len() != quantities.len() {
            return Err(SearchError::Limits { expected: quantities.len(), found: limits.len() });
        }
        for (quantity, limit) in quantities.iter().zip(limits) {
            if let Some(limit) = *limit
                && !(limit > 0.0 && limit.is_finite())
            {
                return Err(SearchError::Limit { quantity: quantity.clone(), limit });
            }
        }
        Ok(Self { limits: limits.iter().map(|limit| limit.unwrap_or(f64::INFINITY)).collect() })
    }

    /// What these costs are, and no more.
    pub(crate) fn at(costs: &[f64]) -> Self {
        Self { limits: costs.to_vec() }
    }

    /// Limits in the order of the quantities; infinite where there is none.
    pub fn limits(&self) -> &[f64] {
        &self.limits
    }

    /// Whether every limit is kept.
    pub fn fit(&self, costs: &[f64]) -> bool {
        costs.iter().zip(&self.limits).all(|(cost, limit)| cost <= limit)
    }

    /// By how much the limits are exceeded together, each as a share of itself; 0 when all are kept.
    pub fn excess(&self, costs: &[f64]) -> f64 {
        costs.iter().zip(&self.limits).map(|(cost, limit)| (cost / limit - 1.0).max(0.0)).sum()
    }

    /// The cost that is the largest multiple of its limit, and that multiple; nothing without limits.
    pub fn binding(&self, costs: &[f64]) -> Option<(usize, f64)> {
        let shares = costs.iter().zip(&self.limits).map(|(cost, limit)| cost / limit).enumerate();
        shares.filter(|(index, _)| self.limits[*index].is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_at_equality_and_the_worst_is_named() {
        let names = ["bytes".to_owned(), "µs".to_owned(), "memory".to_owned()];
        let budgets = Budgets::new(&names, &[Some(100.0), None, Some(10.0)]).unwrap();
        assert!(budgets.fit(&[100.0, 1e12, 10.0]));
        assert!(!budgets.fit(&[100.5, 0.0, 10.0]));
        assert_eq!(budgets.binding(&[150.0, 1e9, 20.0]), Some((2, 2.0)));
        assert_eq!(budgets.excess(&[150.0, 1e9, 20.0]), 1.5);
        assert!(matches!(Budgets::new(&names, &[None]), Err(SearchError::Limits { expected: 3, found: 1 })));
        let zero = Budgets::new(&names, &[Some(0.0), None, None]).unwrap_err();
        assert_eq!(zero.to_string(), "the limit of bytes is 0; it must be a number above zero");
    }
}
