using System.Diagnostics;
using System.Globalization;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>A small job, and the proof that nothing of it was lost or doubled.</summary>
internal static class RunProof
{
    public const int Steps = 16;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static object Spec(string data, int steps, int saveSteps = 8) => new
    {
        base_model = "tiny-bert-en",
        task = "text-classification",
        dataset = new { train = data, validation_split = 0.1 },
        training = new { max_steps = steps, per_device_train_batch_size = 4, max_length = 16, logging_steps = 1, eval_strategy = "steps", eval_steps = saveSteps, save_strategy = "steps", save_steps = saveSteps, save_total_limit = 1 },
    };

    /// <summary>Ended once; each step's loss once, in order; the checkpoints that are listed are those that are there, the last one and the best.</summary>
    public static async Task IsWhole(FaultyHouse house, string id, int steps)
    {
        Assert.Equal(1L, await house.Query<long>($"SELECT count(*) FROM finetune.events WHERE job_id = '{id}' AND type = 'status' AND data->>'status' = 'succeeded'"));
        var rows = await house.Query<string>($"SELECT string_agg(step::text, ' ' ORDER BY seq) FROM finetune.metrics WHERE job_id = '{id}' AND name = 'loss'");
        Assert.Equal(Enumerable.Range(1, steps).Select(step => step.ToString(CultureInfo.InvariantCulture)), rows.Split(' '));
        Assert.Equal(0L, await house.Query<long>($"SELECT count(*) FROM (SELECT seq FROM finetune.events WHERE job_id = '{id}' AND seq IS NOT NULL GROUP BY seq HAVING count(*) > 1) AS twice"));

        var listed = (await house.Get($"/jobs/{id}/checkpoints"))["data"]!.AsArray();
        var folders = Directory.EnumerateDirectories(Path.Combine(house.Data, "runs", id, "checkpoints")).Select(Path.GetFileName).Where(name => !name!.StartsWith("damaged-", StringComparison.Ordinal));
        Assert.Equal(folders.Order(StringComparer.Ordinal), listed.Select(row => $"checkpoint-{row!["step"]}").Order(StringComparer.Ordinal));
        Assert.Equal(steps, (int)Assert.Single(listed, row => (bool)row!["final"]!)!["step"]!);
        Assert.Single(listed, row => (bool)row!["best"]!);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(house.Data, "runs", id), "*draft*", SearchOption.AllDirectories));
    }

    public static async Task Until(Func<Task<bool>> holds)
    {
        for (var patience = Stopwatch.StartNew(); !await holds(); await Task.Delay(100, Cancel))
            Assert.True(patience.Elapsed < Patience, "It does not come about.");
    }

    /// <summary>Figures, for whoever reads the suite's output.</summary>
    public static void Tell(FormattableString figures) => TestContext.Current.TestOutputHelper!.WriteLine(FormattableString.Invariant(figures));
}
