use crate::world::{DB, DENY, epochs, packet, prefix, record, ruleset, world};
use moat_flow::{Epochs, Name, Verdict, Why, attribute};
use moat_ir::Direction::{Egress, Ingress};
use moat_nft::reason::{Mark, ReasonId};

const WEB: &str = "10.0.0.1";
const DATABASE: &str = "10.0.0.2";

#[test]
fn says_who_and_why() {
    let bound = world(&[("db.yaml", DB), ("deny.yaml", DENY)]);
    let record = record(&bound, Ingress, WEB, DATABASE, 5432);
    assert_eq!(record.verdict, Verdict::Allowed);
    assert_eq!(record.direction, Some(Ingress));
    assert_eq!(record.source.name, Name::Pod("shop/web".into()));
    assert_eq!(record.source.port, Some(43_210));
    assert_eq!(record.destination.name, Name::Pod("shop/db".into()));
    assert_eq!(record.time.to_string(), "2026-01-31T12:00:00.123456Z");
    assert_eq!((record.epoch, record.staged), (1, false));
    let Why::Rules(rules) = record.why else { panic!("{:?}", record.why) };
    let [rule] = rules.as_ref() else { panic!("{rules:?}") };
    assert_eq!(rule.policy.as_ref(), "netpol shop/db");
    assert_eq!((rule.rule.as_ref(), rule.peer.as_deref()), ("ingress[0]", Some("from[1]")));
    assert_eq!(rule.place.as_deref(), Some("db.yaml:7"));
}

#[test]
fn names_every_policy_that_isolates() {
    let bound = world(&[("db.yaml", DB), ("deny.yaml", DENY)]);
    let record = record(&bound, Ingress, "10.0.1.3", DATABASE, 5432);
    assert_eq!(record.verdict, Verdict::Denied);
    let policies: Vec<&str> = record.why.policies().collect();
    assert_eq!(policies, ["netpol shop/db", "netpol shop/default-deny"]);
    let Why::Isolated(policies) = &record.why else { panic!("{:?}", record.why) };
    assert_eq!(policies.last().unwrap().place.as_deref(), Some("deny.yaml:1"));
}

#[test]
fn nodes_and_others_have_names_too() {
    let bound = world(&[]);
    let from_node = record(&bound, Ingress, "192.0.2.1", DATABASE, 80);
    assert_eq!(from_node.source.name, Name::Node("n1".into()));
    assert_eq!(from_node.why, Why::Default);
    let outwards = record(&bound, Egress, WEB, "203.0.113.9", 443);
    assert_eq!(outwards.destination.name, Name::Outside);
}

#[test]
fn a_record_of_old_policies_means_what_they_meant() {
    let (old, new) = (world(&[("db.yaml", DB)]), world(&[("deny.yaml", DENY)]));
    let mut epochs = epochs(&old);
    let said = packet(&prefix(&old, Ingress, WEB, DATABASE, 5432), WEB, DATABASE, 5432);
    let before = attribute(&epochs, &said);
    assert_eq!(epochs.push(ruleset(&new), None), 2);
    let after = attribute(&epochs, &said);
    assert_eq!(after, before);
    assert_eq!(after.epoch, 1);
    // What both states say is the newer one's.
    let both = packet(&prefix(&old, Egress, WEB, DATABASE, 5432), WEB, DATABASE, 5432);
    assert_eq!(attribute(&epochs, &both).epoch, 2);
    // The history is bounded; what is forgotten is still a record, with its verdict.
    for _ in 0..3 {
        epochs.push(ruleset(&new), None);
    }
    assert_eq!(epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [5, 4, 3, 2]);
    let forgotten = attribute(&epochs, &said);
    assert_eq!(forgotten.why, Why::UnknownReason(said.prefix.clone()));
    assert_eq!((forgotten.verdict, forgotten.direction), (Verdict::Allowed, Some(Ingress)));
    assert_eq!(forgotten.source.name, Name::Pod("shop/web".into()));
}

#[test]
fn the_last_packets_of_a_pod_keep_its_name() {
    let old = world(&[]);
    let new = crate::world::bound(&[(
        "pods.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    )]);
    let mut epochs = epochs(&old);
    epochs.push(ruleset(&new), None);
    let said = packet(&prefix(&old, Egress, WEB, DATABASE, 80), WEB, DATABASE, 80);
    let record = attribute(&epochs, &said);
    assert_eq!(record.source.name, Name::Pod("shop/web".into()));
    // A later state does not lend its names to an earlier record.
    let mut epochs = Epochs::new(2);
    epochs.push(ruleset(&new), None);
    let early = packet("moat1:ui:", WEB, DATABASE, 80);
    let record = attribute(&epochs, &early);
    assert_eq!(record.source.name, Name::Outside);
}

#[test]
fn nothing_is_lost() {
    let bound = world(&[("db.yaml", DB)]);
    let epochs = epochs(&bound);
    let of = |prefix: &str| attribute(&epochs, &packet(prefix, WEB, DATABASE, 5432));
    for foreign in ["", "IN=eth0", "moat2:ai:0123456789abcdef", "moat1:xi:00", "moat1:ai:zz"] {
        let record = of(foreign);
        assert_eq!(record.why, Why::UnknownPrefix(foreign.into()));
        assert_eq!((record.verdict, record.direction), (Verdict::Unknown, None));
    }
    let closed = of(&Mark::Unprogrammed(Egress).to_string());
    assert_eq!(closed.why, Why::Unprogrammed);
    assert_eq!((closed.verdict, closed.direction), (Verdict::Denied, Some(Egress)));
    // An id that the state has for the other verdict is not its reason.
    let own = prefix(&bound, Ingress, WEB, DATABASE, 5432);
    let Some(Mark::Decided { reason, .. }) = Mark::parse(&own) else { panic!("{own}") };
    let other = Mark::Decided { direction: Ingress, allow: false, reason };
    assert!(matches!(of(&other.to_string()).why, Why::UnknownReason(_)));
    // Nor is there a reason before there is a state.
    let none = attribute(&Epochs::new(0), &packet(&own, WEB, DATABASE, 5432));
    assert_eq!((none.epoch, none.why), (0, Why::UnknownReason(own.into())));
}

#[test]
fn staged_records_are_looked_up_in_the_staged_ruleset() {
    let (enforced, staged) = (world(&[("db.yaml", DB)]), world(&[("deny.yaml", DENY)]));
    let mut epochs = Epochs::new(1);
    epochs.push(ruleset(&enforced), Some(ruleset(&staged)));
    let said = prefix(&staged, Ingress, WEB, DATABASE, 5432);
    let Some(Mark::Decided { direction, allow, reason }) = Mark::parse(&said) else {
        panic!("{said}")
    };
    let of = |mark: Mark| attribute(&epochs, &packet(&mark.to_string(), WEB, DATABASE, 5432));
    let record = of(Mark::Staged { direction, allow, reason });
    assert!(record.staged);
    assert_eq!(record.why.policies().collect::<Vec<_>>(), ["netpol shop/default-deny"]);
    assert!(matches!(of(Mark::Decided { direction, allow, reason }).why, Why::UnknownReason(_)));
    let unknown = of(Mark::Staged { direction, allow, reason: ReasonId(7) });
    assert!(unknown.staged && matches!(unknown.why, Why::UnknownReason(_)));
}
