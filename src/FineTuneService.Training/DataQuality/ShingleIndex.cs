using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>Sets of shingles on the disk, and their signatures' bands in memory: finds the pairs that may be alike, and tells exactly how alike two are.</summary>
internal sealed class ShingleIndex(string path, MinHash hash) : IDisposable
{
    /// <summary>Rows of one bucket before a row that it is compared with: enough where they are alike, and no more where half of a file shares a phrase.</summary>
    private const int ComparedBefore = 8;

    private readonly ColumnWriter<uint> _writer = new(path);
    private readonly List<int> _rows = [];
    private readonly List<long> _ends = [];
    private readonly List<uint>[] _bands = [.. Enumerable.Range(0, hash.Bands).Select(_ => new List<uint>())];
    private Column<uint>? _sets;

    /// <param name="row">Greater than all before.</param>
    /// <param name="bands">The set's signature, see <see cref="MinHash.Sign"/>.</param>
    public void Add(int row, ReadOnlySpan<uint> set, ReadOnlySpan<uint> bands)
    {
        _rows.Add(row);
        _writer.Add(set);
        _ends.Add(_writer.Count);
        for (var band = 0; band < bands.Length; band++)
            _bands[band].Add(bands[band]);
    }

    public bool Has(int row) => _rows.BinarySearch(row) >= 0;

    /// <summary>Of two rows that are here; see <see cref="Shingles.Jaccard"/>.</summary>
    public double Similarity(int one, int other) => Shingles.Jaccard(Set(_rows.BinarySearch(one)), Set(_rows.BinarySearch(other)));

    /// <summary>Pairs of rows that share a band and are not yet known to belong together; a pair may come again.</summary>
    public IEnumerable<(int One, int Other)> Candidates()
    {
        var sorted = new ulong[_rows.Count];
        foreach (var band in _bands)
        {
            for (var at = 0; at < sorted.Length; at++)
                sorted[at] = ((ulong)band[at] << 32) | (uint)at;
            band.Clear();
            band.TrimExcess();
            Array.Sort(sorted);
            for (int at = 1, first = 0; at < sorted.Length; at++)
            {
                if (sorted[at] >> 32 != sorted[first] >> 32)
                    first = at;
                for (var before = Math.Max(first, at - ComparedBefore); before < at; before++)
                    yield return (_rows[(int)(uint)sorted[at]], _rows[(int)(uint)sorted[before]]);
                if (at - first > ComparedBefore)
                    yield return (_rows[(int)(uint)sorted[at]], _rows[(int)(uint)sorted[first]]);
            }
        }
    }

    public void Dispose()
    {
        _writer.Dispose();
        File.Delete(path);
    }

    private ReadOnlySpan<uint> Set(int place)
    {
        if (_sets is null)
        {
            _writer.Dispose();
            _sets = new(path);
        }
        var start = place == 0 ? 0 : _ends[place - 1];
        return _sets.Span(start, (int)(_ends[place] - start));
    }
}
