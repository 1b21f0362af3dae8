//! Stores of older programs.

mod golden;
