// The text on which the models of samples/models were pre-trained: `dotnet run Corpus.cs -- SOURCES OUT`.
// README.md beside this file says where each source comes from. OUT gets documents.jsonl, whole texts for a causal model,
// pieces.jsonl, the same cut between sentences, for an encoder that will be asked about sentences,
// and labelled.jsonl, what an encoder learns to tell apart once it has read those: texts with their source and its label.
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

if (args is not [var sources, var output])
    return Usage();

var heldOut = new HeldOut(
    [.. ColumnOf("sst2/dev.tsv", '\t', 0), .. ColumnOf("sst2/test.tsv", '\t', 0), .. Questions("banking77/test.csv")]);
var parts = new (string Name, IEnumerable<string> Texts)[]
{
    ("sst2, training sentences", ColumnOf("sst2/train.tsv", '\t', 0)),
    ("banking77, training questions", Questions("banking77/train.csv")),
    ("wikipedia-movie-data, extracts", Files("movies", "*.json").SelectMany(Extracts)),
    ("movie_reviews", Files("movie_reviews", "cv*").Select(File.ReadAllText)),
    ("subjectivity", Files("subjectivity", "*.tok.gt9.5000").SelectMany(Lines)),
    ("pros_cons", Files("pros_cons", "Integrated*.txt").SelectMany(Lines).Select(WithoutTags)),
    ("product_reviews", Files("product_reviews", "*.txt").SelectMany(Reviews)),
    ("WordNet 3.0, glosses", Files("wordnet", "data.*").SelectMany(Glosses)),
    ("WikiText-2, validation", Files("wikitext2_valid", "valid.txt").SelectMany(File.ReadLines).Where(line => line.Length > 40)),
    ("tinyshakespeare", Files("tinyshakespeare", "input.txt").SelectMany(path => File.ReadAllText(path).Split("\n\n"))),
    ("Stanford Alpaca, seed tasks", Files("alpaca_seed", "*.jsonl").SelectMany(File.ReadLines).Select(Task)),
};

var labelled = new (string Name, IEnumerable<(string Label, string Text)> Rows)[]
{
    ("movie_reviews", Told("movie_reviews", path => Pieces(Tidy(File.ReadAllText(path))), ("pos", "pos"), ("neg", "neg"))),
    ("subjectivity", Told("subjectivity", Lines, ("subj", "quote.tok.gt9.5000"), ("obj", "plot.tok.gt9.5000"))),
    ("pros_cons", Told("pros_cons", path => Lines(path).Select(WithoutTags), ("pos", "IntegratedPros.txt"), ("neg", "IntegratedCons.txt"))),
    ("opinion_lexicon", Told("opinion_lexicon", path => File.ReadLines(path).Where(line => !line.StartsWith(';')), ("pos", "positive-words.txt"), ("neg", "negative-words.txt"))),
    ("product_reviews", Files("product_reviews", "*.txt").SelectMany(Lines).Select(Opinion).OfType<(string, string)>()),
    ("clinc", Files("clinc", "data_full.json").SelectMany(Queries)),
    ("hwu", Files("hwu", "*.csv").SelectMany(File.ReadLines).Select(line => line.Split(';')).Where(fields => fields.Length == 6 && fields[0] != "answerid")
        .Select(fields => ($"{fields[1]}_{fields[2]}", fields[5].Trim('"')))),
    ("snips", Files("snips", "*.json").SelectMany(Utterances)),
};

Directory.CreateDirectory(output);
using StreamWriter documents = new(Path.Combine(output, "documents.jsonl")), pieces = new(Path.Combine(output, "pieces.jsonl"));
foreach (var (name, texts) in parts)
{
    var (kept, dropped, characters) = (0, 0, 0L);
    foreach (var text in texts.Select(Tidy).Where(text => text.Contains(' ')))
        if (heldOut.Holds(text))
            dropped++;
        else
        {
            Write(documents, new(text));
            foreach (var piece in Pieces(text))
                Write(pieces, new(piece));
            (kept, characters) = (kept + 1, characters + text.Length);
        }
    Console.WriteLine($"{name,-34} {kept,8} texts {characters / 1e6,6:F1} MB, {dropped} dropped: held-out text");
}
using var answers = new StreamWriter(Path.Combine(output, "labelled.jsonl"));
foreach (var (name, rows) in labelled)
{
    var (kept, dropped, labels) = (0, 0, new HashSet<string>());
    foreach (var (label, text) in rows.Select(row => ($"{name}/{row.Label}", Tidy(row.Text))).Where(row => row.Item2.Length > 0))
        if (heldOut.Holds(text))
            dropped++;
        else
        {
            Write(answers, new(text, label));
            (kept, _) = (kept + 1, labels.Add(label));
        }
    Console.WriteLine($"{name,-34} {kept,8} rows {labels.Count,5} labels, {dropped} dropped: held-out text");
}
return 0;

static void Write(StreamWriter file, Row row) => file.WriteLine(JsonSerializer.Serialize(row, RowJson.Default.Row));

static string Tidy(string text) => Regex.Replace(text, @"\s+", " ").Trim();

static string WithoutTags(string line) => Regex.Replace(line, "<[^>]*>", " ");

static IEnumerable<string> Lines(string path) => File.ReadLines(path, Encoding.Latin1);

IEnumerable<string> Files(string folder, string pattern) =>
    Directory.EnumerateFiles(Path.Combine(sources, folder), pattern, SearchOption.AllDirectories).Order(StringComparer.Ordinal);

IEnumerable<string> ColumnOf(string file, char separator, int column) =>
    File.ReadLines(Path.Combine(sources, file)).Select(line => line.Split(separator)[column]);

// Quoted questions may hold line breaks; the label has none.
IEnumerable<string> Questions(string file) =>
    Regex.Matches(File.ReadAllText(Path.Combine(sources, file)), """^(?:"((?:[^"]|"")*)"|([^"\n]*)),[a-zA-Z_?]+\r?$""", RegexOptions.Multiline)
        .Skip(1).Select(match => match.Groups[1].Success ? match.Groups[1].Value.Replace("\"\"", "\"") : match.Groups[2].Value);

static IEnumerable<string> Extracts(string file)
{
    using var films = JsonDocument.Parse(File.ReadAllText(file));
    return [.. films.RootElement.EnumerateArray().Select(film => film.TryGetProperty("extract", out var extract) ? extract.GetString() : null).OfType<string>()];
}

// "[t] title" or "feature[+2]##sentence".
static IEnumerable<string> Reviews(string file) =>
    File.ReadAllText(file, Encoding.Latin1).Split("[t]").Select(review => Regex.Replace(review, "^[^#\n]*##", "", RegexOptions.Multiline));

// "synset … | gloss; "an example""
static IEnumerable<string> Glosses(string file) =>
    File.ReadLines(file).Where(line => line.Contains(" | ")).Select(line =>
    {
        var fields = line.Split(' ');
        return $"{fields[4].Replace('_', ' ')}: {line[(line.IndexOf(" | ", StringComparison.Ordinal) + 3)..]}";
    });

static string Task(string line)
{
    using var task = JsonDocument.Parse(line);
    var instance = task.RootElement.GetProperty("instances")[0];
    return string.Join('\n', task.RootElement.GetProperty("instruction").GetString(), instance.GetProperty("input").GetString(), instance.GetProperty("output").GetString());
}

// The name of a file, or of its folder, tells the label.
IEnumerable<(string, string)> Told(string folder, Func<string, IEnumerable<string>> texts, params (string Label, string Name)[] parts) =>
    from part in parts
    from file in Files(folder, "*").Where(file => file.Split('/', '\\').Contains(part.Name))
    from text in texts(file)
    select (part.Label, text);

// "feature[+2], other[-1]##sentence", where praise and blame do not cancel out.
static (string, string)? Opinion(string line) =>
    line.Split("##") is [var features, var sentence]
    && Regex.Matches(features, @"\[([+-]\d)\]").Sum(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)) is var sign and not 0
        ? (sign > 0 ? "pos" : "neg", sentence)
        : null;

// {"train": [["text", "intent"], …], "val": …}
static IEnumerable<(string, string)> Queries(string file)
{
    using var parts = JsonDocument.Parse(File.ReadAllText(file));
    return [.. parts.RootElement.EnumerateObject().SelectMany(part => part.Value.EnumerateArray()).Select(query => (query[1].GetString()!, query[0].GetString()!))];
}

// {"intent": [{"data": [{"text": "a part of the text"}, …]}, …]}
static IEnumerable<(string, string)> Utterances(string file)
{
    using var intents = JsonDocument.Parse(File.ReadAllText(file));
    return [.. from intent in intents.RootElement.EnumerateObject()
               from utterance in intent.Value.EnumerateArray()
               select (intent.Name, string.Concat(utterance.GetProperty("data").EnumerateArray().Select(part => part.GetProperty("text").GetString())))];
}

// Whole sentences, as many as stay within some 60 tokens.
static IEnumerable<string> Pieces(string text)
{
    const int Words = 45;
    var piece = new List<string>();
    foreach (var sentence in Regex.Split(text, @"(?<=[.!?;] ""?)(?=\S)"))
    {
        var words = sentence.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (piece.Count > 0 && piece.Count + words.Length > Words)
        {
            yield return string.Join(' ', piece);
            piece.Clear();
        }
        foreach (var chunk in words.Chunk(Words))
            piece.AddRange(chunk);
    }
    if (piece.Count > 1)
        yield return string.Join(' ', piece);
}

static int Usage()
{
    Console.Error.WriteLine("usage: dotnet run Corpus.cs -- SOURCES OUT");
    return 2;
}

sealed record Row(string text, string? label = null);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Row))]
sealed partial class RowJson : JsonSerializerContext;

/// <summary>Sentences that a model will be judged by: whatever shares 30 letters in a row with one of them stays out, however it is spaced and punctuated.</summary>
sealed class HeldOut(IEnumerable<string> sentences)
{
    private const int Window = 30;
    private readonly HashSet<string> _windows = [.. sentences.SelectMany(Windows)];

    public bool Holds(string text) => Windows(text).Any(_windows.Contains);

    private static IEnumerable<string> Windows(string text)
    {
        var letters = string.Concat(text.Where(char.IsLetter)).ToLowerInvariant();
        return Enumerable.Range(0, Math.Max(0, letters.Length - Window + 1)).Select(start => letters.Substring(start, Window));
    }
}
