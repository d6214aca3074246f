#[derive(Clone, axum_users::UserProfile)]
struct Profile {
    email: String,
}

fn main() {}
