using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>A file of the dataset with the positions of its rows among all.</summary>
internal sealed record ScannedFile(DataSplit Split, string Path, FileEncoding Encoding, Utf8File Readable)
{
    public int Start { get; init; }
    public int End { get; init; }

    /// <summary>The file's rows once more, those that can be read.</summary>
    public IEnumerable<(int At, DataRow Row)> Read()
    {
        var at = Start;
        foreach (var (_, row, _) in TolerantRows.Read(Readable.Path))
        {
            if (row is { } readable)
                yield return (at, readable);
            at++;
        }
    }
}

/// <summary>What the scan does beside reading.</summary>
/// <param name="Encoding">As which the files are read; null: as detected.</param>
/// <param name="Similarity">Near-duplicates are prepared from this similarity on; null: they are not.</param>
/// <param name="Masks">Texts are looked at with personal data masked.</param>
internal sealed record ScanOptions(DataColumns Columns, string? Encoding, double? Similarity, bool Masks, long Seed);

/// <summary>One pass over all files: of each row its facts, of the texts only as many as fit.</summary>
internal sealed class DataScan : IDisposable
{
    private const int ChunkRows = 4096;
    private const int ChunkCharacters = 1 << 23;
    private const int KeptFaults = 10_000;
    private const int MostLabels = 100_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-scan-").FullName;
    private readonly List<ScannedFile> _files = [];
    private readonly List<ScannedRow> _rows = [];
    private readonly Dictionary<UInt128, int> _firsts = [];
    private readonly Dictionary<string, int> _labels = [];
    private readonly Dictionary<int, Fault> _faults = [];
    private readonly ScanOptions _options;
    private readonly MinHash? _hash;
    private readonly ShingleIndex[] _indexes = [];

    /// <exception cref="FaultException">When a file cannot be read at all, or a column is missing.</exception>
    public DataScan(DatasetFiles files, ScanOptions options, ProgressTeller progress, double share)
    {
        _options = options;
        Sample = new(options.Seed);
        if (options.Similarity is { } similarity)
        {
            _hash = new(similarity);
            _indexes = [new(Path.Combine(_folder, "letters"), _hash), new(Path.Combine(_folder, "words"), _hash)];
        }
        try
        {
            foreach (var (split, path) in files.Given)
            {
                DataFile.Open(path);
                var encoding = FileEncoding.Of(path);
                _files.Add(new(split, path, encoding, new(path, options.Encoding ?? encoding.Name)));
            }
            var total = _files.Sum(file => (double)file.Encoding.Bytes);
            var names = DataFile.Open(_files[0].Readable.Path).Rows((_, _) => { }).FirstOrDefault().Columns is { } found
                ? found.Keys.ToArray()
                : throw new FaultException(DataFile.At(_files[0].Path, 1), null, "The file has no row that can be read.", "Look at its first lines in a text editor.");
            (Columns, Guesses) = ColumnRoles.Resolve(options.Columns, names);
            for (var at = 0; at < _files.Count; at++)
            {
                progress.Begin($"reading {Path.GetFileName(_files[at].Path)}", share * _files[at].Encoding.Bytes / Math.Max(1, total));
                var start = _rows.Count;
                Scan(_files[at], progress);
                _files[at] = _files[at] with { Start = start, End = _rows.Count };
            }
            _firsts.Clear();
            _firsts.TrimExcess();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public DataColumns Columns { get; }

    public IReadOnlyList<ColumnGuess> Guesses { get; }

    public IReadOnlyList<ScannedFile> Files => _files;

    /// <summary>Of all files, training rows first.</summary>
    public IReadOnlyList<ScannedRow> Rows => _rows;

    /// <summary>By number.</summary>
    public IReadOnlyList<string> Labels => field ??= [.. _labels.Keys];

    /// <summary>What is wrong with unreadable rows, the first of them.</summary>
    public IReadOnlyDictionary<int, Fault> Faults => _faults;

    public TextSample Sample { get; }

    public ShingleIndex[] Indexes => _indexes;

    /// <summary>As this scan has looked at it.</summary>
    public RowText TextOf(DataRow row)
    {
        var text = RowText.Read(row, Columns);
        return _options.Masks ? text with { Parts = [.. text.Parts.Select(PersonalData.Mask)] } : text;
    }

    public void Dispose()
    {
        foreach (var index in _indexes)
            index.Dispose();
        foreach (var file in _files)
            file.Readable.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private void Scan(ScannedFile file, ProgressTeller progress)
    {
        var read = 0L;
        foreach (var chunk in Chunks(TolerantRows.Read(file.Readable.Path)))
        {
            foreach (var (line, fault, found) in chunk.AsParallel().AsOrdered().Select(entry => (entry.Line, entry.Fault, Found: entry.Row is { } row ? Look(row) : null)).ToArray())
                if (found is not null)
                    Add(file.Split, line, found);
                else
                {
                    if (_faults.Count < KeptFaults)
                        _faults.Add(_rows.Count, fault!);
                    _rows.Add(new() { Split = file.Split, Line = line, Label = -1, Unusable = DataIssue.Unreadable, First = _rows.Count });
                }
            read += chunk.Sum(entry => entry.Row is { } row ? Length(row) : 0L);
            progress.At((double)read / file.Encoding.Bytes);
        }
    }

    private static IEnumerable<List<(long Line, DataRow? Row, Fault? Fault)>> Chunks(IEnumerable<(long Line, DataRow? Row, Fault? Fault)> rows)
    {
        var chunk = new List<(long, DataRow?, Fault?)>(ChunkRows);
        var characters = 0L;
        foreach (var entry in rows)
        {
            chunk.Add(entry);
            characters += entry.Row is { } row ? Length(row) : 0;
            if (chunk.Count < ChunkRows && characters < ChunkCharacters)
                continue;
            yield return chunk;
            (chunk, characters) = (new(ChunkRows), 0);
        }
        yield return chunk;
    }

    private static long Length(DataRow row) => row.Cells.Sum(cell => cell is string text ? text.Length + 1L : 8);

    private Looked Look(DataRow row)
    {
        var text = TextOf(row);
        if (text.Unusable == DataIssue.NoText)
            return new(text, "", 0, new() { Split = default, Line = 0 }, [], []);
        var whole = text.Text;
        var words = new List<uint>();
        var (letters, triples) = Shingles.Of(whole, words);
        return new(
            text, whole, text.Key,
            new() { Split = default, Line = 0, Characters = whole.Length, Words = words.Count, Kind = TextKinds.Of(whole), Language = TextLanguage.Of(whole), Personal = PersonalData.KindsOf(whole) },
            _hash is null ? [] : [letters, triples], _hash is null ? [] : [Sign(letters), Sign(triples)]);
    }

    private uint[] Sign(uint[] set)
    {
        if (set.Length == 0)
            return [];
        var bands = new uint[_hash!.Bands];
        _hash.Sign(set, bands);
        return bands;
    }

    private void Add(DataSplit split, long line, Looked found)
    {
        var at = _rows.Count;
        var hasText = found.Text.Unusable != DataIssue.NoText;
        var first = at;
        if (hasText && !_firsts.TryAdd(found.Key, at))
            first = _firsts[found.Key];
        _rows.Add(found.Facts with { Split = split, Line = line, Key = found.Key, Label = LabelOf(found.Text.Label), Unusable = found.Text.Unusable, First = first });
        if (found.Text.Unusable is null)
            Sample.Add(at, found.Whole);
        if (first != at || !hasText)
            return;
        for (var index = 0; index < found.Sets.Length; index++)
            if (found.Sets[index].Length > 0)
                _indexes[index].Add(at, found.Sets[index], found.Bands[index]);
    }

    private int LabelOf(string? label)
    {
        if (label is null)
            return -1;
        if (_labels.TryGetValue(label, out var known))
            return known;
        if (_labels.Count == MostLabels)
            return -1;
        _labels.Add(label, _labels.Count);
        return _labels.Count - 1;
    }

    private sealed record Looked(RowText Text, string Whole, UInt128 Key, ScannedRow Facts, uint[][] Sets, uint[][] Bands);
}
