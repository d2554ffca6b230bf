using System.Text.Json;

namespace FineTuneService.Training.Data;

/// <summary>The rows of a job as a model reads them: a folder of mapped files.</summary>
public sealed class TokenizedDataset
{
    internal static readonly IReadOnlyList<string> Splits = ["train", "validation", "test"];

    private const string SumsFile = "sums.json";

    private readonly TokenRows[] _splits;

    /// <exception cref="IOException">When a file is not there.</exception>
    private TokenizedDataset(string folder)
    {
        var ids = new Column<int>(Path.Combine(folder, DatasetDraft.Ids));
        var marks = new Column<int>(Path.Combine(folder, DatasetDraft.Marks));
        _splits = [.. Splits.Select(split => new TokenRows(folder, split, ids, marks))];
        Facts = JsonSerializer.Deserialize<DatasetFacts>(File.ReadAllBytes(Path.Combine(folder, DatasetDraft.FactsFile)), Catalog.Json)!;
    }

    public DatasetFacts Facts { get; }

    public TokenRows Train => _splits[0];

    /// <summary>Null when nothing is held out.</summary>
    public TokenRows? Validation => _splits[1] is { Count: > 0 } rows ? rows : null;

    public TokenRows? Test => _splits[2] is { Count: > 0 } rows ? rows : null;

    /// <summary>For this process only: the files have no name any more when this returns.</summary>
    public static TokenizedDataset Build(Action<DatasetDraft> build)
    {
        var folder = Directory.CreateTempSubdirectory("finetune-dataset-").FullName;
        try
        {
            return Build(folder, build);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <param name="folder">An empty one.</param>
    internal static TokenizedDataset Build(string folder, Action<DatasetDraft> build)
    {
        using (var draft = new DatasetDraft(folder))
        {
            build(draft);
            draft.Complete();
        }
        return new(folder);
    }

    /// <summary>Writes down what the files are, so that <see cref="Open"/> can tell whether they still are that.</summary>
    internal static void Seal(string folder) => File.WriteAllBytes(Path.Combine(folder, SumsFile), JsonSerializer.SerializeToUtf8Bytes(Sums(folder)));

    /// <returns>Null when there is none, or when a file is not as it was written.</returns>
    internal static TokenizedDataset? Open(string folder)
    {
        try
        {
            var sealedSums = JsonSerializer.Deserialize<SortedDictionary<string, uint[]>>(File.ReadAllBytes(Path.Combine(folder, SumsFile)));
            return sealedSums is not null && JsonSerializer.Serialize(sealedSums) == JsonSerializer.Serialize(Sums(folder)) ? new(folder) : null;
        }
        catch (Exception error) when (error is IOException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Of every file by its name; a file's length decides how many there are, and its last block's sum.</summary>
    private static SortedDictionary<string, uint[]> Sums(string folder) => new(
        Directory.EnumerateFiles(folder).Where(file => Path.GetFileName(file) is not (SumsFile or DatasetCache.Held)).ToDictionary(file => Path.GetFileName(file), BlockSums.Of),
        StringComparer.Ordinal);
}
