using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>The built <c>finetune</c> command, run as users and workers run it: as a process.</summary>
internal static class Finetune
{
    private static readonly string Configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));

    private static readonly string Executable = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "FineTuneService.Cli", Configuration, "finetune"));

    public static string Samples { get; } = Path.Combine(AppContext.BaseDirectory, "samples");

    public static Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Executable, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        // Tests run side by side, and models this small are no quicker with more threads, which would only wait for each other.
        start.Environment["OMP_NUM_THREADS"] = "1";
        start.Environment[TrainerVariables.DatasetCache] = Path.Combine(AppContext.BaseDirectory, "tokenized");
        start.Environment[TrainerVariables.DatasetCacheBytes] = "50000000";
        return Process.Start(start)!;
    }

    public static async Task<(int ExitCode, string Output, string Error)> Run(params string[] arguments)
    {
        using var process = Start(arguments);
        process.StandardInput.Close();
        return await Finish(process);
    }

    /// <summary><c>finetune evaluate</c> tells of a checkpoint what its run's own evaluation told.</summary>
    public static async Task AssertScored(string checkpoint, string data, Evaluated logged, double tolerance = 1e-4)
    {
        var (exitCode, output, error) = await Run("evaluate", checkpoint, data);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var scores = output.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length == 2).ToDictionary(words => words[0], words => double.Parse(words[1], CultureInfo.InvariantCulture));
        foreach (var (name, value) in logged.Metrics.Where(metric => !metric.Key.EndsWith("runtime", StringComparison.Ordinal) && !metric.Key.EndsWith("second", StringComparison.Ordinal)))
            Assert.Equal(value, scores[name["eval_".Length..]], tolerance * Math.Max(1, Math.Abs(value)));
    }

    public static async Task<(int ExitCode, string Output, string Error)> Finish(Process process)
    {
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output, await error);
    }
}

/// <summary>A run's folder that lives as long as its test: the sample model on a few rows of SST-2, unless told otherwise.</summary>
internal sealed class SampleRun : IDisposable
{
    public SampleRun(TrainingArguments training, int rows = 200)
    {
        Cut("train", rows);
        Cut("dev", 64);
        WriteSpec(training);
    }

    /// <summary>A job's body with full paths.</summary>
    public SampleRun(object spec) => File.WriteAllText(Folder.Job, JsonSerializer.Serialize(spec, SnakeCaseJson.Options));

    public RunFolder Folder { get; } = new(Directory.CreateTempSubdirectory("finetune-run-").FullName);

    public IReadOnlyList<TrainingEvent> Events =>
        [.. File.ReadAllText(Folder.Events).Split('\n')[..^1].Select(line => JsonSerializer.Deserialize<TrainingEvent>(line, SnakeCaseJson.Options)!)];

    public void WriteSpec(object training, string baseModel = "tiny-bert-en", object? method = null, object? task = null, string init = "pretrained") => File.WriteAllText(Folder.Job, JsonSerializer.Serialize(
        new
        {
            BaseModel = Path.Combine(Finetune.Samples, "models", baseModel),
            Init = init,
            Task = task ?? "text-classification",
            Dataset = new { Train = Path.Combine(Folder.Path, "train.tsv"), Validation = Path.Combine(Folder.Path, "dev.tsv") },
            Method = method ?? "full",
            Training = training,
        },
        SnakeCaseJson.Options));

    /// <summary>Waits until the log holds an event that <paramref name="wanted"/> accepts; fails with the process' last words when it ends before.</summary>
    public async Task<TrainingEvent> WaitFor(Process process, Func<TrainingEvent, bool> wanted)
    {
        while (true)
        {
            var hasEnded = process.HasExited; // Asked first: what it wrote until then is there now.
            if (File.Exists(Folder.Events) && Events.FirstOrDefault(wanted) is { } found)
                return found;
            if (hasEnded)
            {
                var (exitCode, _, error) = await Finetune.Finish(process);
                Assert.Fail($"The trainer ended with exit code {exitCode} before that happened: {error}");
            }
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Of these files of a checkpoint.</summary>
    public string Hash(int step, params string[] files) =>
        string.Concat(files.Select(file => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(Folder.Checkpoint(step), file))))));

    public void Dispose() => Directory.Delete(Folder.Path, recursive: true);

    private void Cut(string split, int rows) =>
        File.WriteAllLines(Path.Combine(Folder.Path, split + ".tsv"), File.ReadLines(Path.Combine(Finetune.Samples, "sst2", split + ".tsv")).Take(rows + 1));
}
