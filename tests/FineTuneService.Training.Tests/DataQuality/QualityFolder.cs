using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.DataQuality;

namespace FineTuneService.Training.Tests.DataQuality;

/// <summary>Files of a dataset that live as long as their test, with what reports and cleaning make of them.</summary>
internal sealed class QualityFolder : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-quality-").FullName;
    private int _cleaned;

    public DatasetFiles Files { get; private set; } = new("");

    public void Write(string name, string text, DataSplit split = DataSplit.Train, Encoding? encoding = null) => Write(name, [.. (encoding ?? new UTF8Encoding(false)).GetPreamble(), .. (encoding ?? Encoding.UTF8).GetBytes(text)], split);

    public void Write(string name, byte[] bytes, DataSplit split = DataSplit.Train)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, bytes);
        Files = split switch { DataSplit.Train => Files with { Train = path }, DataSplit.Validation => Files with { Validation = path }, _ => Files with { Test = path } };
    }

    /// <summary>A report whose sums hold.</summary>
    public DataReport Report(DataReportOptions? options = null)
    {
        var progress = new List<DataProgress>();
        var report = DataReporter.Run(Files, options ?? new(), progress.Add);
        Assert.Equal(1, progress[^1].Fraction);
        Assert.Equal(progress.Select(told => told.Fraction).Order(), progress.Select(told => told.Fraction));
        Assert.All(report.Files, file => Assert.Equal(file.Rows, file.Used + file.Dropped.Sum(reason => reason.Value.Count)));
        return report;
    }

    /// <summary>A cleaning whose sums hold, in the result and in the ledger's lines.</summary>
    public (CleaningResult Result, CleanedFolder Folder, LedgerLine[] Ledger) Clean(CleaningRecipe recipe)
    {
        var folder = new CleanedFolder(Path.Combine(_folder, $"cleaned-{_cleaned++}"));
        var result = DataCleaner.Run(Files, recipe, folder, _ => { });
        LedgerLine[] ledger = [.. File.ReadLines(folder.Ledger).Select(line => JsonSerializer.Deserialize<LedgerLine>(line, SnakeCaseJson.Options)!)];
        foreach (var sums in result.Ledgers)
        {
            var lines = ledger.Where(line => line.Split == sums.Split).ToArray();
            Assert.Equal(sums.Rows, sums.Used + sums.Dropped.Sum(reason => reason.Value.Count));
            Assert.Equal(sums.Rows, lines.Length);
            Assert.Equal(sums.Used, lines.Count(line => line.To is not null));
            Assert.All(sums.Dropped, reason => Assert.Equal(reason.Value.Count, lines.Count(line => line.Dropped == reason.Key)));
            Assert.Equal(lines.Select(line => line.Line).Order().Distinct(), lines.Select(line => line.Line)); // once each, in order
        }
        Assert.All(result.Files, file => Assert.Equal(file.Rows, ledger.Count(line => line.To == file.Split) + (file.Split == DataSplit.Train ? result.Ledgers.Sum(sums => sums.Augmented) : 0)));
        return (result, folder, ledger);
    }

    /// <summary>The rows of a cleaned file, read as a job reads them: any fault throws.</summary>
    public static DataRow[] Rows(CleanedFolder folder, DataSplit split, string format) => [.. DataFile.Open(folder.Data(split, format)).Rows()];

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
