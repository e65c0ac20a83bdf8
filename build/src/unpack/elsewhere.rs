//! Stand-in for tree.rs on systems other than Linux, which lack a system call that resolves hostile
//! links inside a folder. It has the same names and creates nothing.

use super::UnpackError;
use crate::entry::{Budget, Entry};
use std::convert::Infallible;
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;

/// A folder that cannot exist on this system.
pub(super) struct Tree<'a> {
    none: Infallible,
    budget: PhantomData<&'a Budget>,
    pub ignored_xattrs: u64,
    pub lost_capabilities: u64,
    pub left_out: u64,
}

impl<'a> Tree<'a> {
    pub fn open(_dest: &Path, _budget: &'a Budget) -> Result<Tree<'a>, UnpackError> {
        Err(UnpackError::Elsewhere)
    }

    pub fn next_layer(&mut self) {
        match self.none {}
    }

    pub fn apply(&mut self, _entry: &Entry, _bytes: &mut dyn Read) -> Result<(), UnpackError> {
        match self.none {}
    }

    pub fn set_root(&mut self, _mode: u32, _mtime: Option<u64>) {
        match self.none {}
    }

    pub fn finish(self) -> Result<(), UnpackError> {
        match self.none {}
    }
}
