//! The fuzz targets of corelay-protocols, as plain functions.

pub mod targets;
