#[derive(Clone, axum_users::UserProfile)]
struct Profile {
    #[profile(readonly)]
    points: i64,
}

fn main() {}
