namespace FineTuneService.Training.Data;

/// <summary>Holds validation rows out of the training rows: stratified by label, the same for the same seed, equal texts never on both sides.</summary>
internal static class HeldOut
{
    public static (List<LabelledText> Train, List<LabelledText> Validation) Split(List<LabelledText> rows, double share, long seed)
    {
        var held = new HashSet<LabelledText>(ReferenceEqualityComparer.Instance);
        var groups = rows.GroupBy(row => TextClassificationData.Spaces().Replace(row.Text.Trim().ToLowerInvariant(), " ") + "\0" + row.Pair).Select(group => group.ToArray());
        // A group of equal texts counts to the label of its first row.
        foreach (var stratum in groups.GroupBy(group => string.Join('|', group[0].Labels)).OrderBy(stratum => stratum.Key, StringComparer.Ordinal))
        {
            var members = stratum.ToArray();
            var wanted = (int)Math.Round(share * members.Sum(group => group.Length), MidpointRounding.AwayFromZero);
            var order = EpochOrder.Of(members.Length, Contracts.TrainSamplingStrategy.Random, seed, epoch: -1);
            // The last group stays, so that every label has a row to learn from.
            foreach (var group in order.SkipLast(1).Select(at => members[at]))
                if (group.Length <= wanted)
                {
                    held.UnionWith(group);
                    wanted -= group.Length;
                }
        }
        return (rows.FindAll(row => !held.Contains(row)), rows.FindAll(held.Contains));
    }
}
