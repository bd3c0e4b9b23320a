//! What the docs show of the code is what the code has.

#[test]
fn the_drawn_states_are_the_transition_table() {
    let drawn = include_str!("../../../ARCHITECTURE.md");
    let diagram = majordomo_core::state::diagram();
    assert!(
        drawn.contains(&diagram),
        "put this into ARCHITECTURE.md:\n{diagram}"
    );
}
