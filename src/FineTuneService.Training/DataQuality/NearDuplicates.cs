namespace FineTuneService.Training.DataQuality;

/// <summary>Which rows say nearly the same, each pair verified on the shingles themselves.</summary>
internal sealed class NearDuplicates
{
    /// <summary>Rows of a group that a row is compared with at most.</summary>
    private const int MostCompared = 256;

    private readonly ShingleIndex[] _indexes;
    private readonly double _similarity;
    private readonly int[] _parents;

    /// <param name="rows">How many there are.</param>
    /// <param name="indexes">Of different lengths of text; a pair counts where it stands in one of them.</param>
    public NearDuplicates(int rows, ShingleIndex[] indexes, double similarity, Action<double> progress)
    {
        (_indexes, _similarity) = (indexes, similarity);
        _parents = [.. Enumerable.Range(0, rows)];
        for (var at = 0; at < indexes.Length; at++)
        {
            foreach (var (one, other) in indexes[at].Candidates())
                if (Group(one) is var left && Group(other) is var right && left != right && indexes[at].Similarity(one, other) >= similarity)
                    _parents[Math.Max(left, right)] = Math.Min(left, right); // The smallest row stands for its group.
            progress((at + 1.0) / indexes.Length);
        }
    }

    /// <summary>Equal for rows that nearly the same texts lead from one to the other; of equal texts ask for the first.</summary>
    public int Group(int row)
    {
        while (_parents[row] != row)
            row = _parents[row] = _parents[_parents[row]];
        return row;
    }

    /// <returns>Jaccard similarity, where two rows are of comparable length; else 0.</returns>
    public double Similarity(int one, int other) => one == other ? 1 : _indexes.FirstOrDefault(index => index.Has(one) && index.Has(other))?.Similarity(one, other) ?? 0;

    /// <summary>Each row that is nearly the same as an earlier one.</summary>
    /// <param name="rows">First rows of their texts, in their order.</param>
    /// <param name="comparable">Whether two may count as such.</param>
    public IEnumerable<(int Row, int Of, double Similarity)> Repeated(IEnumerable<int> rows, Func<int, int, bool> comparable)
    {
        foreach (var group in rows.GroupBy(Group).Where(group => group.Skip(1).Any()))
        {
            var earlier = new List<int>();
            foreach (var row in group)
            {
                if (MostAlike(row, earlier.Where(other => comparable(row, other))) is var (of, similarity) && similarity >= _similarity)
                    yield return (row, of, similarity);
                earlier.Add(row);
            }
        }
    }

    /// <summary>Each of some rows that is nearly the same as one of others.</summary>
    public IEnumerable<(int Row, int Of, double Similarity)> Shared(IEnumerable<int> rows, IEnumerable<int> others)
    {
        var groups = others.ToLookup(Group);
        foreach (var row in rows)
            if (MostAlike(row, groups[Group(row)]) is var (of, similarity) && similarity >= _similarity)
                yield return (row, of, similarity);
    }

    private (int Of, double Similarity) MostAlike(int row, IEnumerable<int> others)
    {
        var best = (Of: -1, Similarity: 0.0);
        foreach (var other in others.Take(MostCompared))
            if (Similarity(row, other) is var similarity && similarity > best.Similarity)
                best = (other, similarity);
        return best;
    }
}
