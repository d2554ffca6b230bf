using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Data;

public sealed class TextClassificationDataTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("data-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Whole_numbers_are_ordered_as_numbers_and_names_by_code_point()
    {
        Assert.Equal(["2", "10"], Load("text,label\na,10\nb,2\n", split: 0).Labels);
        Assert.Equal(["B", "a"], Load("text,label\nx,a\ny,B\n", split: 0).Labels);
    }

    [Fact]
    public void Lists_make_it_multi_label()
    {
        var data = Load("{\"text\":\"a\",\"label\":[\"x\",\"y\"]}\n{\"text\":\"b\",\"label\":[]}\n", split: 0, name: "train.jsonl");

        Assert.Equal(ProblemType.MultiLabelClassification, data.ProblemType);
        Assert.Equal(["x", "y"], data.Train[0].Labels);
        Assert.Empty(data.Train[1].Labels);
    }

    [Fact]
    public void Rows_that_cannot_be_used_are_dropped_and_accounted_for()
    {
        var ledger = Load("text,label\na,1\n,1\nb,\nc,0\n", split: 0).Ledgers.Single();

        Assert.Equal((4L, 2L), (ledger.Rows, ledger.Used));
        Assert.Equal(ledger.Rows, ledger.Used + ledger.Dropped.Values.Sum(dropped => dropped.Count));
        Assert.Equal([3L], ledger.Dropped["no text"].FirstLines);
    }

    [Fact]
    public void The_split_is_stratified_and_the_same_for_the_same_seed()
    {
        var rows = "text,label\n" + string.Concat(Enumerable.Range(0, 200).Select(row => $"text {row},{(row % 4 == 0 ? "rare" : "common")}\n"));
        var data = Load(rows, split: 0.2);

        Assert.Equal((160, 40), (data.Train.Count, data.Validation.Count));
        Assert.Equal(10, data.Validation.Count(row => row.Labels[0] == "rare"));
        Assert.Equal(data.Validation.Select(row => row.Line), Load(rows, split: 0.2).Validation.Select(row => row.Line));
        Assert.NotEqual(data.Validation.Select(row => row.Line), Load(rows, split: 0.2, seed: 1).Validation.Select(row => row.Line));
    }

    [Fact]
    public void Equal_texts_never_straddle_the_split()
    {
        var data = Load("text,label\n" + string.Concat(Enumerable.Range(0, 300).Select(row => $"{(row % 2 == 0 ? "Text" : " text ")}  {row / 3},{row / 3 % 2}\n")), split: 0.2);

        static IEnumerable<long> Texts(IEnumerable<LabelledTokens> rows) => rows.Select(row => (row.Line - 2) / 3); // Three lines a text, below the header.
        Assert.NotEmpty(data.Validation);
        Assert.Empty(Texts(data.Train).Intersect(Texts(data.Validation)));
    }

    [Fact]
    public void One_label_only_is_refused() => Assert.Contains("same label", Faults("text,label\na,1\nb,1\n").Single().Message, StringComparison.Ordinal);

    [Fact]
    public void Labels_of_a_regression_must_be_numbers()
    {
        var faults = Faults("text,label\na,1.5\nb,high\nc,\"1,5\"\n", ProblemType.Regression);

        Assert.Equal([("train.csv:3", "high"), ("train.csv:4", "1,5")], faults.Select(fault => (fault.Pointer, fault.Value)));
    }

    [Fact]
    public void A_label_that_training_never_saw_is_told_with_its_line()
    {
        File.WriteAllText(Path.Combine(_folder, "dev.csv"), "text,label\nx,1\ny,7\n");
        var fault = Assert.Throws<FaultException>(() => Load("text,label\na,1\nb,0\n", validation: "dev.csv")).Faults.Single();

        Assert.Equal(("dev.csv:3", "7"), (fault.Pointer, fault.Value));
    }

    [Theory]
    [InlineData("text,label\na,1\nb,1\n", null, "same label")]
    [InlineData("text,label\na,high\nb,low\n", ProblemType.Regression, "needs numbers")]
    [InlineData("text,label\n,1\n,0\n", null, "empty")]
    public void A_profile_tells_the_same_before_a_job_is_accepted(string content, ProblemType? problemType, string message)
    {
        File.WriteAllText(Path.Combine(_folder, "train.csv"), content);
        var faults = new FaultList();
        TextClassificationData.Check(DatasetProfiler.Profile(Path.Combine(_folder, "train.csv")), new DatasetSpec { Train = "train.csv", TextColumn = "text", LabelColumn = "label" }, problemType, faults);

        Assert.Contains(message, Assert.Single(faults.All).Message, StringComparison.Ordinal);
    }

    private IReadOnlyList<Fault> Faults(string content, ProblemType? problemType = null) =>
        Assert.Throws<FaultException>(() => Load(content, problemType: problemType, split: 0)).Faults;

    private TextClassificationData Load(string content, double split = 0.1, long seed = 42, ProblemType? problemType = null, string name = "train.csv", string? validation = null)
    {
        File.WriteAllText(Path.Combine(_folder, name), content);
        var dataset = new DatasetSpec
        {
            Train = Path.Combine(_folder, name),
            Validation = validation is null ? null : Path.Combine(_folder, validation),
            ValidationSplit = split,
            TextColumn = "text",
            LabelColumn = "label",
        };
        TextClassificationData? data = null;
        TokenizedDataset.Build(draft => data = TextClassificationData.Load(dataset, problemType, seed, new(draft, LanguageFixtures.Tokenizer, maxLength: 16)));
        return data!;
    }
}
