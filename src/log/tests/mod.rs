mod active;
mod frame;
mod golden;
mod mem_fs;
mod segment;
mod support;
mod unit;
