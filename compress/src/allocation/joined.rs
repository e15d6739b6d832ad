//! Matrices that are one in the file have their type chosen together.

use secateur_model::{ModelSpec, TensorId};

use super::{Choice, MatrixOptions, bytes_of_joined};

/// Matrices with one type in common; most often a single one.
pub(super) struct Joined {
    /// Their choices are of the same types in the same order.
    matrices: Vec<MatrixOptions>,
}

impl Joined {
    /// The matrices of a model, those together that are one in its file. Of these, types count that each of them may get.
    pub fn of(spec: &ModelSpec, options: &[MatrixOptions]) -> Vec<Self> {
        let table = spec.family.table();
        let groups = options.chunk_by(|a, b| table.joined(a.id).contains(&b.id));
        groups.map(|group| Self { matrices: with_common_types(spec, group) }).collect()
    }

    /// What they take and lose together, in each of their types.
    pub fn together(&self) -> MatrixOptions {
        let first = &self.matrices[0];
        let sum = |(index, choice): (usize, &Choice)| {
            let all = || self.matrices.iter().map(|matrix| matrix.choices[index]);
            let (bytes, damage) =
                (all().map(|choice| choice.bytes).sum(), all().map(|choice| choice.damage).sum());
            Choice { bytes, damage, ..*choice }
        };
        MatrixOptions { id: first.id, choices: first.choices.iter().enumerate().map(sum).collect() }
    }

    /// What each takes and loses in the type of this index.
    pub fn choices(&self, index: usize) -> impl Iterator<Item = (TensorId, Choice)> {
        self.matrices.iter().map(move |matrix| (matrix.id, matrix.choices[index]))
    }
}

fn with_common_types(spec: &ModelSpec, group: &[MatrixOptions]) -> Vec<MatrixOptions> {
    let mut matrices = group.to_vec();
    if group.len() == 1 {
        return matrices;
    }
    let is_common = |choice: &Choice| {
        let has = |matrix: &MatrixOptions| {
            matrix.choices.iter().any(|other| other.tensor_type == choice.tensor_type)
        };
        group.iter().all(has)
    };
    let shapes: Vec<Vec<usize>> = group.iter().filter_map(|matrix| spec.shape(matrix.id)).collect();
    let rows: Vec<usize> = shapes.iter().map(|shape| shape[0]).collect();
    let row_len = shapes.first().and_then(|shape| shape.last().copied()).unwrap_or(1);
    for (place, matrix) in matrices.iter_mut().enumerate() {
        matrix.choices.retain(is_common);
        matrix.choices.sort_by_key(|choice| choice.tensor_type.ggml_id());
        for choice in &mut matrix.choices {
            if let Some(bytes) = bytes_of_joined(choice.tensor_type, &rows, row_len) {
                choice.bytes = bytes[place];
            }
        }
    }
    matrices
}

#[cfg(test)]
mod tests {
    use secateur_model::stored::FileBytes;
    use secateur_model::{Checkpoint, Family, Role, TensorType, demo};

    use super::super::bytes_in_file;
    use super::*;

    #[test]
    fn query_key_and_value_of_one_matrix_get_one_type() {
        let model = Checkpoint::from_gguf_bytes(demo::NAME, FileBytes::Static(demo::GGUF)).unwrap();
        let spec = ModelSpec { family: Family::OpenElm, ..model.spec };
        // 85 bytes in a row of 160: 80 rows do not end where a tensor may begin
        let (four, eight) = (TensorType::MXFP4, TensorType::Q8_0);
        let choice = |tensor_type, damage| Choice { tensor_type, bytes: 0, damage };
        let options = |role, choices: &[Choice]| MatrixOptions {
            id: TensorId::in_layer(0, role),
            choices: choices.to_vec(),
        };
        let all = [
            options(Role::AttentionQuery, &[choice(four, 1.0), choice(eight, 0.1)]),
            options(Role::AttentionKey, &[choice(eight, 0.2), choice(four, 2.0)]),
            options(
                Role::AttentionValue,
                &[choice(TensorType::F16, 0.0), choice(four, 4.0), choice(eight, 0.4)],
            ),
            options(Role::AttentionOutput, &[choice(four, 8.0)]),
        ];
        let joined = Joined::of(&spec, &all);
        assert_eq!(joined.len(), 2);
        let together = joined[0].together();
        for choice in &together.choices {
            assert_eq!(Some(choice.bytes), bytes_in_file(choice.tensor_type, 160 + 80 + 80, 160));
        }
        let damages: Vec<_> =
            together.choices.iter().map(|choice| (choice.tensor_type, choice.damage)).collect();
        assert_eq!(damages.len(), 2, "what one of them may not get, none gets: {damages:?}");
        for (index, (tensor_type, damage)) in damages.into_iter().enumerate() {
            let expected = if tensor_type == four { 7.0 } else { 0.7 };
            assert!((damage - expected).abs() < 1e-9, "{tensor_type}: {damage}");
            let types: Vec<_> = joined[0].choices(index).map(|(_, choice)| choice.tensor_type).collect();
            assert_eq!(types, [tensor_type; 3]);
        }
        // elsewhere each is by itself
        assert_eq!(Joined::of(&ModelSpec { family: Family::Llama, ..spec }, &all).len(), 4);
    }
}
