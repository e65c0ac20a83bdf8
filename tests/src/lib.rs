//! The outside view: shared helpers of the tests in this package.
