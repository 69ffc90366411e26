//! Figures on women and on men, and what lies between them.
use sottovoce_types::{ExampleMeta, Sex, SexGap, SexMetrics};

use super::bootstrap::{Resampled, central_95, central_95_of_differences, resample};
use super::by_speaker;
use super::confusion::Confusion;

/// Groups have draws of their own: with common ones, the two would rise and fall together.
fn seed(sex: Sex) -> u64 {
    match sex {
        Sex::Female => 2,
        Sex::Male => 3,
    }
}

struct Group {
    figures: SexMetrics,
    resampled: Option<Resampled>,
}

/// One entry for each sex of which there is a speaker, and the gap where there is one.
pub(super) fn by_sex(
    meta: &[ExampleMeta],
    outcomes: &[(usize, usize)],
    classes: usize,
) -> (Vec<SexMetrics>, Option<SexGap>) {
    let groups: Vec<Group> = Sex::ALL.into_iter().filter_map(|sex| group(sex, meta, outcomes, classes)).collect();
    let gap = match groups.as_slice() {
        [women, men] => gap(women, men),
        _ => None,
    };
    (groups.into_iter().map(|g| g.figures).collect(), gap)
}

fn group(sex: Sex, meta: &[ExampleMeta], outcomes: &[(usize, usize)], classes: usize) -> Option<Group> {
    let own = meta.iter().zip(outcomes).filter(|(m, _)| m.sex == Some(sex));
    let by_speaker = by_speaker(own, classes);
    if by_speaker.is_empty() {
        return None;
    }
    let confusion = Confusion::sum(by_speaker.values(), classes);
    let resampled = resample(&by_speaker.values().collect::<Vec<_>>(), classes, seed(sex));
    let figures = SexMetrics {
        sex,
        examples: confusion.examples(),
        speakers: by_speaker.len() as u32,
        accuracy: confusion.accuracy(),
        accuracy_ci95: resampled.as_ref().map(|r| central_95(&r.accuracy)),
        uar: confusion.uar(),
        uar_ci95: resampled.as_ref().map(|r| central_95(&r.uar)),
        recall: (0..classes).map(|c| confusion.recall(c)).collect(),
    };
    Some(Group { figures, resampled })
}

/// Women minus men. UARs over other classes cannot be compared.
fn gap(women: &Group, men: &Group) -> Option<SexGap> {
    let occur = |g: &Group| g.figures.recall.iter().map(Option::is_some).collect::<Vec<_>>();
    if occur(women) != occur(men) {
        return None;
    }
    let both = women.resampled.as_ref().zip(men.resampled.as_ref());
    Some(SexGap {
        accuracy: women.figures.accuracy - men.figures.accuracy,
        accuracy_ci95: both.map(|(w, m)| central_95_of_differences(&w.accuracy, &m.accuracy)),
        uar: women.figures.uar - men.figures.uar,
        uar_ci95: both.map(|(w, m)| central_95_of_differences(&w.uar, &m.uar)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten clips of two classes each of `speakers` speakers, of which all but every `wrong`th are right.
    fn outcomes(sex: Option<Sex>, speakers: usize, wrong: usize) -> Vec<(ExampleMeta, (usize, usize))> {
        let clip = |i: usize| {
            let meta = ExampleMeta { speaker: format!("{sex:?} {}", i % speakers), sex, ..ExampleMeta::default() };
            let truth = i / speakers % 2;
            (meta, (truth, if i.is_multiple_of(wrong) { 1 - truth } else { truth }))
        };
        (0..10 * speakers).map(clip).collect()
    }

    fn of(parts: &[Vec<(ExampleMeta, (usize, usize))>]) -> (Vec<SexMetrics>, Option<SexGap>) {
        let (meta, outcomes): (Vec<_>, Vec<_>) = parts.concat().into_iter().unzip();
        by_sex(&meta, &outcomes, 2)
    }

    #[test]
    fn each_group_is_its_own_and_the_gap_lies_between_them() {
        let (women, men) = (outcomes(Some(Sex::Female), 7, 9), outcomes(Some(Sex::Male), 6, 4));
        let (groups, gap) = of(&[men, outcomes(None, 3, 2), women]);
        assert_eq!(
            groups.iter().map(|g| (g.sex, g.examples, g.speakers)).collect::<Vec<_>>(),
            [(Sex::Female, 70, 7), (Sex::Male, 60, 6)]
        );
        // 8 of 70 and 15 of 60 are wrong.
        let (women, men) = (62.0 / 70.0, 45.0 / 60.0);
        assert!((groups[0].accuracy - women).abs() < 1e-12 && (groups[1].accuracy - men).abs() < 1e-12);
        let gap = gap.unwrap();
        assert!((gap.accuracy - (women - men)).abs() < 1e-12);
        let interval = gap.accuracy_ci95.unwrap();
        assert!(interval.low < gap.accuracy && gap.accuracy < interval.high, "{gap:?}");
        for group in &groups {
            let recall: Vec<f64> = group.recall.iter().map(|r| r.unwrap()).collect();
            assert!((f64::midpoint(recall[0], recall[1]) - group.uar).abs() < 1e-12);
        }
    }

    #[test]
    fn a_corpus_that_tells_no_sex_has_no_groups_and_one_sex_has_no_gap() {
        assert_eq!(of(&[outcomes(None, 3, 2)]), (vec![], None));
        let (groups, gap) = of(&[outcomes(Some(Sex::Male), 3, 2)]);
        assert_eq!((groups.len(), gap), (1, None));
    }

    #[test]
    fn one_woman_has_figures_and_no_intervals() {
        let (groups, gap) = of(&[outcomes(Some(Sex::Female), 1, 3), outcomes(Some(Sex::Male), 5, 3)]);
        assert_eq!((groups[0].uar_ci95, groups[0].accuracy_ci95), (None, None));
        assert!(groups[1].uar_ci95.is_some());
        let gap = gap.unwrap();
        assert_eq!((gap.uar_ci95, gap.accuracy_ci95), (None, None));
    }

    #[test]
    fn groups_with_other_classes_are_not_compared() {
        let mut women = outcomes(Some(Sex::Female), 4, 3);
        women.retain(|&(_, (truth, _))| truth == 0);
        let (groups, gap) = of(&[women, outcomes(Some(Sex::Male), 4, 3)]);
        assert_eq!(groups[0].recall[1], None);
        assert_eq!(gap, None);
    }
}
