using System.Diagnostics;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary><c>finetune report</c> and <c>finetune clean</c>, as a person or the service starts them.</summary>
public sealed class DataCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-data-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_reports_recipe_makes_a_dataset_that_has_nothing_to_find()
    {
        var train = Write("train.csv", "text,label\n" + string.Concat(Enumerable.Range(0, 60).Select(row => $"\"Sentence {row * 7919} speaks of {(row % 2 == 0 ? "rain, snow and wind" : "sun, sand and sea")} {row * 31}\",{row % 2}\n")) + "\"sentence 0 speaks of  rain, snow and wind 0\",0\n,1\nwrite to a.b@example.com about the rain,0\n");
        var options = Write("options.json", """{"shown_rows": 2, "checks": ["exact_duplicate", "personal_data"]}""");

        var report = await Report("report", train, "--options", options, "--progress", "--output", In("report.json"));
        Assert.Equal([DataIssue.NoText, DataIssue.PersonalData, DataIssue.ExactDuplicate], report.Findings.Select(finding => finding.Code));
        File.WriteAllText(In("recipe.json"), JsonSerializer.Serialize(report.Recipe, SnakeCaseJson.Options));

        var (exitCode, output, error) = await Finetune.Run("clean", train, "--recipe", In("recipe.json"), "--output", In("clean"), "--progress");
        Assert.True(exitCode == TrainerExit.Succeeded, error);
        AssertProgress(output);
        var cleaned = new CleanedFolder(In("clean"));
        var result = JsonSerializer.Deserialize<CleaningResult>(File.ReadAllText(cleaned.Result), SnakeCaseJson.Options)!;
        Assert.Equal([DataSplit.Train, DataSplit.Validation], result.Files.Select(file => file.Split));
        Assert.Equal(61, result.Ledgers.Single().Used);
        Assert.Empty((await Report("report", cleaned.Data(DataSplit.Train, "csv"), "--validation", cleaned.Data(DataSplit.Validation, "csv"), "--options", options, "--output", In("again.json"))).Findings);
    }

    [Fact]
    public async Task Faults_are_told_to_people_and_to_programs()
    {
        var train = Write("train.csv", "text,label\nsome words,1\n");
        var recipe = Write("recipe.json", """{"near_duplicates": 0.1, "exact_duplicate": true, "drop": [{"lines": [99]}]}""");

        var (exitCode, output, error) = await Finetune.Run("clean", train, "--recipe", recipe, "--output", In("clean"), "--progress");

        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("Did you mean exact_duplicates?", error, StringComparison.Ordinal);
        Assert.Equal(["/near_duplicates", "/exact_duplicate"], JsonSerializer.Deserialize<DataProgress>(output.Trim().Split('\n')[^1], SnakeCaseJson.Options)!.Faults!.Select(fault => fault.Pointer));
        Assert.False(Directory.Exists(In("clean")));
    }

    /// <summary>A million rows of half a gigabyte, a hundredth of them twice.</summary>
    [Fact]
    [Trait("Suite", "slow"), Trait("Suite", "data")]
    public async Task A_million_rows_take_under_two_minutes_and_under_one_and_a_half_gigabytes()
    {
        var (random, path) = (new Random(1), In("train.csv"));
        var sentences = File.ReadLines(Path.Combine(Finetune.Samples, "sst2", "train.tsv")).Skip(1).Select(line => line.Split('\t')).ToLookup(row => row[1], row => row[0].Replace("\"", "", StringComparison.Ordinal)).ToDictionary(rows => rows.Key, rows => rows.ToArray());
        await using (var file = new StreamWriter(path))
        {
            file.WriteLine("text,label");
            for (int row = 0, last = 0; row < 1_000_000; row++)
            {
                var text = new System.Text.StringBuilder();
                var label = random.Next(2);
                var seed = row % 100 == 99 ? last : last = random.Next();
                for (var draw = new Random(seed); text.Length < 470;)
                {
                    var choice = sentences[draw.Next(5) > 0 ? $"{label}" : $"{1 - label}"];
                    text.Append(choice[draw.Next(choice.Length)]).Append(" . ");
                }
                file.WriteLine($"\"{text}\",{label}");
            }
        }

        var clock = Stopwatch.StartNew();
        using var process = Finetune.Start("report", path, "--output", In("report.json"));
        var peak = 0L;
        var ended = Finetune.Finish(process);
        while (!ended.IsCompleted)
        {
            process.Refresh();
            peak = process.HasExited ? peak : Math.Max(peak, process.PeakWorkingSet64);
            await Task.WhenAny(ended, Task.Delay(100, TestContext.Current.CancellationToken));
        }
        var (exitCode, _, error) = await ended;
        var seconds = clock.Elapsed.TotalSeconds;

        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var report = JsonSerializer.Deserialize<DataReport>(File.ReadAllText(In("report.json")), SnakeCaseJson.Options)!;
        TestContext.Current.TestOutputHelper!.WriteLine(FormattableString.Invariant($"{report.Files[0].Bytes / 1e6:F0} MB, {report.Files[0].Rows} rows: {seconds:F0} s, {peak / 1e6:F0} MB, {string.Join(", ", report.Findings.Select(finding => $"{finding.Code} {finding.Count}"))}"));
        Assert.True(report.Files[0].Bytes >= 500_000_000);
        Assert.Equal(1_000_000, report.Files[0].Used);
        Assert.True(seconds < 120, $"{seconds:F0} s");
        Assert.True(peak < 1_500_000_000, $"{peak / 1e6:F0} MB");
    }

    private async Task<DataReport> Report(params string[] arguments)
    {
        var (exitCode, output, error) = await Finetune.Run(arguments);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
        if (arguments.Contains("--progress"))
            AssertProgress(output);
        return JsonSerializer.Deserialize<DataReport>(File.ReadAllText(arguments[^1]), SnakeCaseJson.Options)!;
    }

    private static void AssertProgress(string output)
    {
        var told = output.Trim().Split('\n').Select(line => JsonSerializer.Deserialize<DataProgress>(line, SnakeCaseJson.Options)!).ToArray();
        Assert.Equal((0, 1), (told[0].Fraction, told[^1].Fraction));
        Assert.Equal(told.Select(progress => progress.Fraction).Order(), told.Select(progress => progress.Fraction));
    }

    private string In(string name) => Path.Combine(_folder, name);

    private string Write(string name, string text)
    {
        File.WriteAllText(In(name), text);
        return In(name);
    }
}
