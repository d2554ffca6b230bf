using System.Text;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tests.DataQuality;

public sealed class DataReporterTests : IDisposable
{
    private readonly QualityFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_messy_file_is_told_row_by_row()
    {
        _folder.Write("train.csv", """
            text,label
            "A warm, funny film about a family and its dog",good
            a WARM funny   film about a family and its dog,good
            "a warm, funny film about a family and its dog",bad
            ,good
            I have no label at all but many words,
            one,two,three
            "write to me at jane@example.org, I liked this film very much",good
            "<div><p>markup</p><br/><br/></div>",bad
            Ich habe den Film nicht gemocht und er war viel zu lang für mich,bad
            a,bad
            The acting in this film is as wooden as its chairs and tables,bad
            "The acting in this film is as wooden as it's chairs and table",bad
            It was the best film that I have seen with my children this year,good
            """.ReplaceLineEndings("\n"));
        _folder.Write("test.csv", "text,label\nIt was the best film that I have seen with my children this year!,good\nSomething that nobody has said before in this place,odd\n", DataSplit.Test);

        var report = _folder.Report();

        Assert.Equal(("text-classification", "text", "label"), (report.Columns.Task, report.Columns.TextColumn, report.Columns.LabelColumn));
        Assert.Equal((13, 10), (report.Files[0].Rows, report.Files[0].Used));
        Assert.Equal([7], report.Files[0].Dropped[DataIssue.Unreadable].FirstLines);
        Assert.Equal([5], report.Files[0].Dropped[DataIssue.NoText].FirstLines);
        Assert.Equal([6], report.Files[0].Dropped[DataIssue.NoLabel].FirstLines);
        Assert.Equal([3], Lines(DataIssue.NearDuplicate, DataIssue.ExactDuplicate).Where(line => line == 3)); // A comma is what they differ in.
        Assert.Contains(4, Lines(DataIssue.ConflictingLabels));
        Assert.Equal([8], Lines(DataIssue.PersonalData));
        Assert.Equal([9], Lines(DataIssue.NonText));
        Assert.Equal([10], Lines(DataIssue.OddLanguage));
        Assert.Equal([11], Lines(DataIssue.TooShort));
        Assert.Contains(13, Lines(DataIssue.NearDuplicate));
        Assert.Equal([14], Lines(DataIssue.Leakage));
        Assert.Equal([3], Lines(DataIssue.UnknownLabel));
        Assert.DoesNotContain("jane@example.org", System.Text.Json.JsonSerializer.Serialize(report, SnakeCaseJson.Options), StringComparison.Ordinal);
        Assert.Equal(0.1, report.Recipe.ValidationSplit ?? 0.1); // Too few rows to hold any out.

        IEnumerable<long> Lines(params DataIssue[] codes) => report.Findings.Where(finding => codes.Contains(finding.Code)).SelectMany(finding => finding.Rows).Select(row => row.Line);
    }

    [Theory]
    [InlineData("windows-1252", "windows-1252")]
    [InlineData("iso-8859-1", "iso-8859-1")]
    [InlineData("utf-16", "utf-16le")]
    [InlineData("utf-16BE", "utf-16be")]
    public void Another_encoding_is_read_told_and_mended(string name, string told)
    {
        var encoding = name == "windows-1252" ? CodePagesEncodingProvider.Instance.GetEncoding(1252)! : Encoding.GetEncoding(name);
        var quote = name == "windows-1252" ? "“très”" : "très";
        _folder.Write("train.csv", $"text,label\nUn café {quote} bon à côté de la gare,1\nUne soirée gâchée par le bruit,0\n", encoding: encoding);

        var report = _folder.Report();

        Assert.Equal(told, report.Files[0].Encoding);
        var finding = Assert.Single(report.Findings, finding => finding.Code == DataIssue.Encoding);
        Assert.True(finding.IsRecommended);
        Assert.Equal(told, report.Recipe.Encoding);
        var (_, cleaned, _) = _folder.Clean(report.Recipe with { ValidationSplit = null });
        Assert.Equal($"Un café {quote} bon à côté de la gare", QualityFolder.Rows(cleaned, DataSplit.Train, "csv")[0]["text"]);
    }

    [Fact]
    public void A_few_faulty_bytes_are_rows_not_an_encoding()
    {
        _folder.Write("train.csv", [.. Encoding.UTF8.GetBytes("text,label\ncafé,1\nnaïve,0\nbad "), 0xE9, .. Encoding.UTF8.GetBytes(" byte,1\n")]);

        var file = _folder.Report().Files[0];

        Assert.Equal(("utf-8", 3, 2), (file.Encoding, file.Rows, file.Used));
        Assert.Equal([4], file.Dropped[DataIssue.Unreadable].FirstLines);
    }

    [Fact]
    public void Conversations_prompts_and_documents_need_no_label()
    {
        _folder.Write("train.jsonl", """
            {"messages": [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "It is Paris."}]}
            {"messages": [{"role": "user", "content": "what is the capital of  france?"}, {"role": "assistant", "content": "It is Paris."}]}
            {"messages": []}
            not json
            """);
        var chats = _folder.Report();
        Assert.Equal(("sft", "messages", 2), (chats.Columns.Task, chats.Columns.MessagesColumn, (int)chats.Files[0].Used));
        Assert.Equal([2], chats.Findings.Single(finding => finding.Code == DataIssue.ExactDuplicate).Rows.Select(row => row.Line));

        _folder.Write("train.jsonl", "{\"prompt\": \"Say hello to them\", \"completion\": \"Hello\"}\n{\"prompt\": \"Say nothing\", \"completion\": \"\"}\n");
        var prompts = _folder.Report();
        Assert.Equal(("sft", 1L), (prompts.Columns.Task, prompts.Files[0].Used));

        _folder.Write("train.jsonl", "{\"text\": \"Once upon a time there was a king\"}\n");
        var documents = _folder.Report();
        Assert.Equal(("causal-lm", null), (documents.Columns.Task, documents.Labels));
    }

    [Fact]
    public void Lengths_are_told_in_tokens_of_the_model()
    {
        _folder.Write("train.csv", "text,label\n" + string.Concat(Enumerable.Range(0, 50).Select(row => $"\"{string.Join(' ', Enumerable.Repeat("good", row < 40 ? 8 : 198))}\",{row % 2}\n")));

        var report = _folder.Report(new() { Model = Tokenization.GoldenTokenizers.Folder("bert-base-uncased"), MaxLength = 100, Checks = [DataIssue.Truncation] });

        Assert.Equal(("tokens", 50, 10, 200), (report.Lengths.Unit, (int)report.Lengths.Rows, report.Lengths.Min, report.Lengths.Max)); // with [CLS] and [SEP]
        Assert.Equal(50, report.Lengths.Histogram.Sum(bin => bin.Rows));
        var lost = report.Lengths.Truncation.Single(share => share.MaxLength == 100);
        Assert.Equal((0.2, Math.Round(1000 / 2400.0, 4)), (lost.Rows, lost.Units));
        Assert.Equal([64, 100, 128, 256, 512], report.Lengths.Truncation.Select(share => share.MaxLength));
        Assert.Equal(10, Assert.Single(report.Findings).Count);
    }

    [Fact]
    public void A_missing_column_is_a_fault_that_names_the_others()
    {
        _folder.Write("train.csv", "review,stars\ngood,5\n");

        var fault = Assert.Throws<FaultException>(() => _folder.Report()).Faults[0];
        Assert.Contains("review, stars", fault.Remedy, StringComparison.Ordinal);

        Assert.Equal("stars", _folder.Report(new() { Columns = new() { TextColumn = "review", LabelColumn = "stars" } }).Columns.LabelColumn);
    }

    [Fact]
    public void The_same_report_comes_out_twice()
    {
        _folder.Write("train.csv", "text,label\n" + string.Concat(Enumerable.Range(0, 400).Select(row => $"sentence number {row % 350} about {(row % 2 == 0 ? "rain and snow" : "sun and sand")},{(row % 17 == 0 ? 1 - row % 2 : row % 2)}\n")));

        Assert.Equal(Json(), Json());

        string Json() => System.Text.Json.JsonSerializer.Serialize(_folder.Report(), SnakeCaseJson.Options);
    }
}
