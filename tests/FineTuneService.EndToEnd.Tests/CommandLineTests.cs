using System.Diagnostics;
using System.Text.Json;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>The finetune command as the client of a service: a process of a user, who has an address and a key.</summary>
public sealed class CommandLineTests(Service service) : IClassFixture<Service>, IDisposable
{
    private static readonly string Executable = Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "..", "..", "FineTuneService.Cli", Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)), "finetune"));

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("finetune-cli-");

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task A_job_is_submitted_watched_and_downloaded()
    {
        service.StartWorker();
        WriteJob(steps: 20);

        var (exit, output, error) = await Run("submit", "job.json", "--dataset", "train.tsv", "dev.tsv", "--watch");

        Assert.True(exit == 0, error);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var id = lines[0];
        Assert.StartsWith("job_", id);
        Assert.Contains(lines, line => line.Contains("20/20  loss ", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("validation at step 20: ", StringComparison.Ordinal));
        Assert.EndsWith("succeeded", lines[^1]);

        var jobs = (await Run("jobs", "--limit", "1")).Output.Split('\n');
        Assert.Matches($@"^{id} +succeeded +20/20 +\S+ [0-9.]+ +2\S+ \S+  from the command line$", jobs[1]);
        Assert.Equal(lines[1..], (await Run("logs", id, "--follow")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));

        var (downloaded, folder, trouble) = await Run("download", id, "--output", "model");
        Assert.True(downloaded == 0, trouble);
        Assert.Equal(Path.Combine(_folder.FullName, "model"), folder.Trim());
        Assert.Superset(new HashSet<string> { "config.json", "model.safetensors", "tokenizer.json" }, Directory.GetFiles(folder.Trim()).Select(Path.GetFileName).ToHashSet()!);
        Assert.Equal(
            await service.Http.GetByteArrayAsync($"/jobs/{id}/checkpoints/best/files/model.safetensors", Cancel),
            await File.ReadAllBytesAsync(Path.Combine(folder.Trim(), "model.safetensors"), Cancel));

        // The same files are not sent again.
        Assert.Equal(0, (await Run("submit", "job.json", "--dataset", "train.tsv", "--dataset", "dev.tsv")).ExitCode);
        Assert.Equal(2, (await service.Get("/datasets"))["data"]!.AsArray().Count);

        var drawn = await OnTerminal($"{Executable} watch {id}");
        Assert.Contains("step 20/20 (100 %)", drawn, StringComparison.Ordinal);
        Assert.Contains("eval_loss", drawn, StringComparison.Ordinal);
        Assert.Contains(drawn, unit => unit is > '\u2800' and <= '\u28ff');
        Assert.EndsWith("\u001b[?25h", drawn.TrimEnd());
    }

    [Fact]
    public async Task A_watch_ends_as_the_job_does_and_computes_nothing()
    {
        service.StartWorker();
        WriteJob(steps: 5000);
        var id = (await Run("submit", "job.json", "--dataset", "train.tsv", "dev.tsv")).Output.Trim();
        using var watch = Start("watch", id);
        while (await watch.StandardOutput.ReadLineAsync(Cancel) is { } line && !line.Contains("loss", StringComparison.Ordinal))
        {
        }

        Assert.DoesNotContain("libtorch", await File.ReadAllTextAsync($"/proc/{watch.Id}/maps", Cancel), StringComparison.OrdinalIgnoreCase);
        var (paused, told, _) = await Run("pause", id);
        Assert.Equal(0, paused);
        Assert.Matches("^(running|paused)", told);
        await service.WaitForStatus(id, "paused");
        Assert.Equal(0, (await Run("resume", id)).ExitCode);
        Assert.Equal(0, (await Run("cancel", id)).ExitCode);
        var rest = await watch.StandardOutput.ReadToEndAsync(Cancel);
        await watch.WaitForExitAsync(Cancel);

        Assert.Equal(3, watch.ExitCode);
        Assert.Contains("cancelled: ", rest, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_wrong_is_told_in_words()
    {
        WriteJob(steps: 0);
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "broken.json"), "{\n\"base_model\": \n}", Cancel);

        await Refused("/training/max_steps", "submit", "job.json", "--dataset", "train.tsv", "dev.tsv");
        await Refused("broken.json:3", "submit", "broken.json");
        await Refused("There is no such file.", "submit", "none.json");
        await Refused("There is no job 'job_0'.", "watch", "job_0");
        await Refused("Unauthorized.", "jobs", "--key", "ft_nobody");
        await Refused("cannot be reached", "jobs", "--server", "http://127.0.0.1:1");
        await Refused("begins with http", "jobs", "--server", "localhost");
    }

    private async Task Refused(string words, params string[] arguments)
    {
        var (exit, _, error) = await Run(arguments);
        Assert.Equal(2, exit);
        Assert.Contains(words, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    private void WriteJob(int steps)
    {
        foreach (var (file, rows) in new[] { ("train.tsv", 200), ("dev.tsv", 50) })
            File.WriteAllLines(Path.Combine(_folder.FullName, file), File.ReadLines(Path.Combine(Service.Samples, "sst2", file)).Take(rows + 1));
        File.WriteAllText(Path.Combine(_folder.FullName, "job.json"), JsonSerializer.Serialize(new
        {
            name = "from the command line",
            base_model = "tiny-bert-en",
            task = "text-classification",
            dataset = new { train = "${train.tsv}", validation = "dev.tsv" },
            training = new { max_steps = steps, per_device_train_batch_size = 8, max_length = 32, logging_steps = 5, eval_strategy = "steps", eval_steps = 10, save_strategy = "steps", save_steps = 10 },
        }));
    }

    private async Task<(int ExitCode, string Output, string Error)> Run(params string[] arguments)
    {
        using var process = Start(arguments);
        var (output, error) = (process.StandardOutput.ReadToEndAsync(Cancel), process.StandardError.ReadToEndAsync(Cancel));
        await process.WaitForExitAsync(Cancel);
        return (process.ExitCode, await output, await error);
    }

    private Process Start(params string[] arguments) => Start(Executable, arguments);

    private Process Start(string executable, string[] arguments)
    {
        var start = new ProcessStartInfo(executable, arguments) { WorkingDirectory = _folder.FullName, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["FINETUNE_SERVER"] = service.Http.BaseAddress!.ToString();
        start.Environment["FINETUNE_API_KEY"] = Service.Key;
        start.Environment["TERM"] = "xterm-256color";
        return Process.Start(start)!;
    }

    /// <summary>What a terminal would be sent.</summary>
    private async Task<string> OnTerminal(string command)
    {
        using var process = Start("script", ["-qec", command, "/dev/null"]);
        var output = await process.StandardOutput.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        Assert.True(process.ExitCode == 0, output);
        return output;
    }
}
