//! A method has `self`.

use avtomatika_worker::prelude::*;

struct Model;

impl Model {
    #[debug_handler]
    async fn draw(&self, _context: TaskContext) {}
}

fn main() {}
