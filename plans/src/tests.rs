//! Plans of the demo model.
