using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.DataQuality;
using Parquet;
using Parquet.Serialization;

namespace FineTuneService.Training.Tests.Data;

public sealed class ParquetRowsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("parquet-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>As <c>datasets</c> writes them: classes are numbers, and their names are in the file's metadata.</summary>
    [Fact]
    public async Task Classes_of_datasets_have_their_names_lists_are_json_and_row_groups_are_read_in_turn()
    {
        var path = await Write(
            """{"info": {"features": {"sentence": {"dtype": "string", "_type": "Value"}, "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "ner_tags": {"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "_type": "Sequence"}}}}""",
            new() { sentence = "a fine film", label = 1, score = 0.5, tokens = ["a", "b"], ner_tags = [0, 1] },
            new() { sentence = null, label = -1, score = 2, tokens = [], ner_tags = [] },
            new() { sentence = "ünïcode ✓", label = 0, score = -1, tokens = ["c"], ner_tags = [1] });

        DataRow[] rows = [.. DataFile.Open(path).Rows()];

        Assert.Equal(["sentence", "label", "score", "tokens", "ner_tags"], rows[0].Columns.Keys);
        Assert.Equal([1L, 2L, 3L], rows.Select(row => row.Line));
        Assert.Equal(["pos", null, "neg"], rows.Select(row => row["label"]));
        Assert.Equal(["a fine film", null, "ünïcode ✓"], rows.Select(row => row["sentence"]));
        Assert.Equal([0.5, 2.0, -1.0], rows.Select(row => row["score"]));
        Assert.Equal("""["a","b"]""", ((JsonElement)rows[0]["tokens"]!).GetRawText());
        Assert.Equal("""["O","B-PER"]""", ((JsonElement)rows[0]["ner_tags"]!).GetRawText());
    }

    [Fact]
    public async Task Numbers_without_names_stay_numbers_and_profile_and_report_read_them()
    {
        var path = await Write("not json", [.. Enumerable.Range(0, 30).Select(row => new Row { sentence = $"sentence {row * 7919} about {row * 31}", label = row % 2, score = 1, tokens = ["x"], ner_tags = [0] })]);

        var profile = DatasetProfiler.Profile(path);
        Assert.Equal(("parquet", 30L, ColumnKind.Integer, ColumnKind.List), (profile.Format, profile.Rows, profile.Columns[1].Kind, profile.Columns[3].Kind));

        var columns = new DataColumns { Task = "text-classification" };
        var report = DataReporter.Run(new(path), new() { Columns = columns }, _ => { });
        Assert.Equal(("parquet", 30L, "sentence"), (report.Files[0].Format, report.Files[0].Used, report.Columns.TextColumn));
        var cleaned = DataCleaner.Run(new(path), new() { Columns = columns, ValidationSplit = 0.2 }, new(Path.Combine(_folder, "cleaned")), _ => { });
        Assert.Equal(["train.jsonl", "validation.jsonl"], cleaned.Files.Select(file => file.Name));
    }

    [Theory]
    [InlineData("PAR1 and then nothing of the kind")]
    [InlineData("")]
    public void What_is_no_Parquet_is_a_fault(string content)
    {
        var path = Path.Combine(_folder, "a.parquet");
        File.WriteAllText(path, content);

        Assert.Equal("a.parquet:1", Assert.Throws<FaultException>(() => DataFile.Open(path).Rows().ToList()).Faults.Single().Pointer);
    }

    [Fact]
    public async Task Spoilt_files_are_faults_or_rows_and_nothing_else()
    {
        var sound = File.ReadAllBytes(await Write("{}", [.. Enumerable.Range(0, 20).Select(row => new Row { sentence = $"sentence {row}", label = row, score = row, tokens = ["x", "y"], ner_tags = [row] })]));
        var random = new Random(3);
        var path = Path.Combine(_folder, "spoilt.parquet");
        for (var round = 0; round < 150; round++)
        {
            var bytes = sound.ToArray();
            for (var fault = random.Next(1, 4); fault > 0; fault--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(path, round % 5 == 0 ? bytes[..random.Next(bytes.Length)] : bytes);
            try
            {
                Assert.InRange(DataFile.Open(path).Rows().Count(), 1, 1000);
            }
            catch (FaultException)
            {
            }
        }
    }

    private async Task<string> Write(string metadata, params Row[] rows)
    {
        var path = Path.Combine(_folder, "rows.parquet");
        await using var file = File.Create(path);
        await ParquetSerializer.SerializeAsync(rows, file, new ParquetOptions { RowGroupSize = 2 }, new Dictionary<string, string> { ["huggingface"] = metadata }, TestContext.Current.CancellationToken);
        return path;
    }

#pragma warning disable IDE1006 // The names are the columns'.
    private sealed class Row
    {
        public string? sentence { get; set; }
        public long label { get; set; }
        public double score { get; set; }
        public List<string>? tokens { get; set; }
        public List<long>? ner_tags { get; set; }
    }
#pragma warning restore IDE1006
}
