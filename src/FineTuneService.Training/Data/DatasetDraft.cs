using System.Runtime.InteropServices;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Data;

/// <summary>What a task knows of its rows beside their tokens.</summary>
public sealed record DatasetFacts
{
    /// <summary>What became of the files' rows.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Training rows cut to the maximal length.</summary>
    public int TruncatedRows { get; init; }

    /// <summary>Tokens lost by it.</summary>
    public long TruncatedTokens { get; init; }

    /// <summary>Training rows whose text is there more than once, and those of them that have another label than most of their kind.</summary>
    public int RepeatedRows { get; init; }

    /// <inheritdoc cref="RepeatedRows"/>
    public int ContradictedRows { get; init; }

    /// <summary>Rows behind the training rows that are replayed: see <see cref="ReplayMix"/>.</summary>
    public int ReplayRows { get; init; }

    /// <summary>The first training rows with their loss mask.</summary>
    public IReadOnlyList<TokenSample> Samples { get; init; } = [];

    /// <summary>The first texts that are held out: what a model is asked at evaluations.</summary>
    public IReadOnlyList<TokenSequence> FirstHeldOut { get; init; } = [];

    /// <summary>Whether rows are conversations.</summary>
    public bool HasChats { get; init; }

    /// <summary>Class names in the order of the logits.</summary>
    public IReadOnlyList<string> Labels { get; init; } = [];

    public ProblemType? ProblemType { get; init; }
}

/// <summary>A row to be written.</summary>
/// <param name="Values">Numbers of its own, as many as the other rows have.</param>
public readonly record struct StoredRow(IReadOnlyList<Stretch> Texts, IReadOnlyList<float> Values)
{
    public StoredRow(Stretch text) : this([text], []) { }

    /// <summary>Where the row begins in its file; 0: it is no line. All rows of a split have one, or none.</summary>
    public long Line { get; init; }
}

/// <summary>
/// A dataset in the making: first all tokens, as they are read, in two long columns; then the rows of each split, which say where their texts lie.
/// So what is in memory is a few numbers a row, whatever the size of the texts.
/// </summary>
public sealed class DatasetDraft : IDisposable
{
    internal const string Ids = "ids", Marks = "marks", FactsFile = "facts.json";

    private readonly ColumnWriter<int> _ids, _marks;
    private readonly HashSet<string> _splits = [];

    /// <param name="folder">An empty one.</param>
    internal DatasetDraft(string folder)
    {
        Folder = folder;
        (_ids, _marks) = (new(In(Ids)), new(In(Marks)));
    }

    public string Folder { get; }

    public DatasetFacts Facts { get; set; } = new();

    /// <param name="marks">One for each token; or none, then no text has any.</param>
    public Stretch Add(ReadOnlySpan<int> ids, ReadOnlySpan<int> marks)
    {
        var text = new Stretch(_ids.Count, ids.Length);
        _ids.Add(ids);
        _marks.Add(marks);
        return _marks.Count == 0 || _marks.Count == _ids.Count ? text : throw new InvalidOperationException("Either every token has a mark, or none.");
    }

    /// <summary>A text with its weights.</summary>
    public Stretch Add(TokenSequence text) => Add(text.Ids, MemoryMarshal.Cast<float, int>(text.Weights));

    public int[] IdsOf(Stretch text) => _ids.Read(text.Start, text.Length);

    public int[] MarksOf(Stretch text) => _marks.Read(text.Start, text.Length);

    /// <summary>A text with its weights; where it has none, all but the first token are learnt.</summary>
    public TokenSequence Read(Stretch text) => new(IdsOf(text), _marks.Count > 0 ? [.. MemoryMarshal.Cast<int, float>(MarksOf(text))] : [0, .. Enumerable.Repeat(1f, text.Length - 1)]);

    /// <param name="split"><c>train</c>, <c>validation</c> or <c>test</c>; without rows it counts as absent.</param>
    public void Write(string split, IEnumerable<StoredRow> rows)
    {
        _splits.Add(split);
        using var starts = new ColumnWriter<long>(In($"{split}.starts"));
        using var lengths = new ColumnWriter<int>(In($"{split}.lengths"));
        using var ends = new ColumnWriter<long>(In($"{split}.ends"));
        using var values = new ColumnWriter<float>(In($"{split}.values"));
        using var lines = new ColumnWriter<long>(In($"{split}.lines"));
        foreach (var row in rows)
        {
            foreach (var text in row.Texts)
            {
                starts.Add(text.Start);
                lengths.Add(text.Length);
            }
            ends.Add(starts.Count);
            foreach (var value in row.Values)
                values.Add(value);
            if (row.Line > 0)
                lines.Add(row.Line);
        }
    }

    /// <summary>Closes the files and writes the last of them.</summary>
    internal void Complete()
    {
        Dispose();
        foreach (var split in TokenizedDataset.Splits.Except(_splits).ToList())
            Write(split, []);
        File.WriteAllBytes(In(FactsFile), JsonSerializer.SerializeToUtf8Bytes(Facts, Catalog.Json));
    }

    public void Dispose()
    {
        _ids.Dispose();
        _marks.Dispose();
    }

    private string In(string name) => Path.Combine(Folder, name);
}
