//! How many tokens an image becomes: which grid of tiles a model cuts it into, and what is left of each tile.

/// Columns and rows of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Grid {
    /// Tiles side by side.
    pub columns: usize,
    /// Tiles above each other.
    pub rows: usize,
}

/// Which grid is chosen for an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// The grid that keeps most of the image's pixels, then the one that wastes fewest ("LLaVA-NeXT", `select_best_resolution`).
    MostPixels,
    /// The same, but a grid must keep this part more pixels to be preferred, and one that keeps little less and wastes less is taken
    /// ("BlueLM-V-3B", relaxed aspect ratio matching).
    Relaxed {
        /// The part; 0.1 in the paper.
        threshold: f64,
    },
    /// The grid whose proportions are nearest the image's, of at most so many tiles ("InternVL 1.5", dynamic resolution).
    NearestProportions {
        /// The most tiles; 12 in the paper.
        tiles: usize,
    },
}

/// How a model sees images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vision {
    /// Pixels of a tile's side.
    pub tile: usize,
    /// Most tiles in a row or column.
    pub side: usize,
    /// Pixels of a patch's side; a patch is a token before downsampling.
    pub patch: usize,
    /// Patches of a side that become one token.
    pub downsampling: usize,
    /// Tokens that the model reads at once.
    pub chunk: usize,
}

/// An image as tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ImageTokens {
    /// The grid.
    pub grid: Grid,
    /// Tiles of the grid, and one of the whole image.
    pub tiles: usize,
    /// Patches of all tiles.
    pub patches: usize,
    /// Tokens after downsampling.
    pub tokens: usize,
    /// Passes of prefill.
    pub chunks: usize,
}

impl Vision {
    /// The sizes of BlueLM-V-3B: SigLIP with patches of 14 in tiles of 384.
    pub const BLUELM_V: Self = Self { tile: 384, side: 4, patch: 14, downsampling: 2, chunk: 128 };

    /// The tokens of an image of these pixels.
    pub fn tokens(&self, width: usize, height: usize, rule: Rule) -> ImageTokens {
        let grid = self.grid(width, height, rule);
        let tiles = grid.columns * grid.rows + 1;
        let patches_of_side = self.tile / self.patch;
        let tokens_of_side = patches_of_side.div_ceil(self.downsampling);
        let tokens = tiles * tokens_of_side * tokens_of_side;
        let patches = tiles * patches_of_side * patches_of_side;
        ImageTokens { grid, tiles, patches, tokens, chunks: tokens.div_ceil(self.chunk) }
    }

    /// The grid that a rule chooses.
    pub fn grid(&self, width: usize, height: usize, rule: Rule) -> Grid {
        match rule {
            Rule::MostPixels => self.best_grid(width, height, 0.0),
            Rule::Relaxed { threshold } => self.best_grid(width, height, threshold),
            Rule::NearestProportions { tiles } => self.nearest_grid(width, height, tiles),
        }
    }

    fn best_grid(&self, width: usize, height: usize, threshold: f64) -> Grid {
        let mut best = (Grid { columns: 1, rows: 1 }, self.kept_and_wasted(1, 1, width, height));
        for columns in 1..=self.side {
            for rows in 1..=self.side {
                let (kept, wasted) = self.kept_and_wasted(columns, rows, width, height);
                let (best_kept, best_wasted) = best.1;
                let keeps_more = kept - best_kept > threshold * best_kept;
                let keeps_as_much = (best_kept - kept).abs() <= threshold * best_kept;
                if keeps_more || (keeps_as_much && wasted < best_wasted) {
                    best = (Grid { columns, rows }, (kept, wasted));
                }
            }
        }
        best.0
    }

    /// Pixels of the image that a grid keeps, and pixels of the grid that it does not use.
    fn kept_and_wasted(&self, columns: usize, rows: usize, width: usize, height: usize) -> (f64, f64) {
        let (grid_width, grid_height) = ((columns * self.tile) as f64, (rows * self.tile) as f64);
        let (width, height) = (width as f64, height as f64);
        let scale = (grid_width / width).min(grid_height / height);
        let resized = (width * scale).floor() * (height * scale).floor();
        let kept = resized.min(width * height);
        (kept, grid_width * grid_height - kept)
    }

    fn nearest_grid(&self, width: usize, height: usize, tiles: usize) -> Grid {
        let wanted = width as f64 / height as f64;
        let area = (width * height) as f64;
        let mut grids: Vec<Grid> = (1..=tiles)
            .flat_map(|columns| (1..=tiles / columns).map(move |rows| Grid { columns, rows }))
            .collect();
        grids.sort_by_key(|grid| grid.columns * grid.rows);
        let distance = |grid: &Grid| (wanted - grid.columns as f64 / grid.rows as f64).abs();
        let mut best = Grid { columns: 1, rows: 1 };
        for grid in grids {
            let fills = area > 0.5 * (self.tile * self.tile * grid.columns * grid.rows) as f64;
            if distance(&grid) < distance(&best) || (distance(&grid) == distance(&best) && fills) {
                best = grid;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAXED: Rule = Rule::Relaxed { threshold: 0.1 };

    fn grid(width: usize, height: usize, rule: Rule) -> (usize, usize) {
        let Grid { columns, rows } = Vision::BLUELM_V.grid(width, height, rule);
        (columns, rows)
    }

    /// Figures of "BlueLM-V-3B: Algorithm and System Co-Design for Multimodal Large Language Models on Mobile Devices".
    #[test]
    fn a_screenshot_becomes_the_published_number_of_tokens() {
        let tokens = Vision::BLUELM_V.tokens(1080, 2400, RELAXED);
        assert_eq!(tokens.grid, Grid { columns: 2, rows: 4 });
        assert_eq!((tokens.tiles, tokens.patches, tokens.tokens, tokens.chunks), (9, 6561, 1764, 14));
    }

    #[test]
    fn relaxed_matching_does_not_blow_small_images_up() {
        assert_eq!(grid(394, 390, RELAXED), (1, 1));
        assert_eq!(grid(394, 390, Rule::MostPixels), (2, 2));
        assert_eq!(grid(380, 76, RELAXED), (1, 1));
        assert_eq!(grid(380, 76, Rule::NearestProportions { tiles: 12 }), (5, 1));
        assert_eq!(grid(500, 102, RELAXED), (2, 1));
    }
}
