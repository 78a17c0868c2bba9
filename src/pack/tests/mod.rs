mod bits;
mod damage;
mod erasing;
mod merge;
mod property;
mod reads;
mod shapes;
mod support;
