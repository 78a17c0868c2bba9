mod bits;
mod damage;
mod merge;
mod property;
mod reads;
mod shapes;
mod support;
