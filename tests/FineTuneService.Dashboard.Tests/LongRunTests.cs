using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.EndToEnd.Tests;
using Microsoft.Playwright;

namespace FineTuneService.Dashboard.Tests;

/// <summary>The page of a run that has logged 100,000 steps and goes on: from its log through worker, database and stream to the screen.</summary>
public sealed class LongRunTests(Browser browser) : IClassFixture<Browser>
{
    private const int Steps = 100_000, Updates = 20;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Suite", "browser")]
    public async Task It_is_soon_there_and_never_late()
    {
        await using var service = new Service { Settings = new Dictionary<string, string> { ["Worker__TrainerPath"] = SilentTrainer.Make() } };
        await service.InitializeAsync();
        service.StartWorker();
        var id = await service.PostJob(new { dataset = new { train = await service.Upload("train.tsv", 20) }, base_model = "tiny-bert-en", task = "text-classification" });
        await service.WaitForStatus(id, "running");
        var folder = new RunFolder(Path.Combine(service.Data, "runs", id));
        await File.WriteAllLinesAsync(folder.Events, Enumerable.Range(1, Steps).Select(Line), new UTF8Encoding(false), Cancel);
        await service.WaitForJob(id, job => (int)job["progress"]!["step"]! == Steps);

        var page = await browser.Open(service.Http.BaseAddress!);
        await Browser.SignIn(page);
        var paints = new List<double>();
        for (var time = 0; time < 5; time++)
        {
            await page.GotoAsync("about:blank");
            await page.GotoAsync($"/#/jobs/{id}", new() { WaitUntil = WaitUntilState.Commit });
            paints.Add(await page.EvaluateAsync<double>(Drawn(Steps)));
        }
        Tell($"first paint of {Steps:N0} steps, milliseconds: {string.Join(", ", paints.Select(paint => $"{paint:F0}"))}");
        await Browser.Picture(page, "long-run");

        var delays = new List<double>();
        await using (var log = new StreamWriter(new FileStream(folder.Events, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)))
            for (var step = Steps + 1; step <= Steps + Updates; step++)
            {
                var seen = page.EvaluateAsync<double>(Drawn(step, "Date.now()"));
                await Task.Delay(300 + (37 * (step % 7)), Cancel); // Not in step with whoever polls.
                var written = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
                await log.WriteLineAsync(Line(step));
                await log.FlushAsync(Cancel);
                delays.Add(await seen - written);
            }
        Tell($"from the trainer's line to the screen, milliseconds: {string.Join(", ", delays.Order().Select(delay => $"{delay:F0}"))}");

        Assert.InRange(paints.Max(), 0, 1000);
        Assert.InRange(delays.Max(), 0, 500);
    }

    /// <summary>Waits until the loss chart shows this step.</summary>
    /// <returns>A script that tells when: in milliseconds since the page was asked for, unless told otherwise.</returns>
    private static string Drawn(int step, string now = "performance.now()") => $$"""
        () => new Promise(done => {
            const look = () => document.querySelector('figure[aria-label*="at step {{step}}"] canvas') ? requestAnimationFrame(() => done({{now}})) : setTimeout(look, 5);
            look();
        })
        """;

    private static string Line(int step) => JsonSerializer.Serialize<TrainingEvent>(new StepLogged
    {
        Seq = step,
        Attempt = 1,
        Time = TimeProvider.System.GetUtcNow(),
        Step = step,
        Epoch = step / 1000.0,
        Metrics = new Dictionary<string, double>
        {
            ["loss"] = (2 * Math.Exp(-step / 20_000.0)) + (0.3 * Math.Abs(Math.Sin(step * 12.9898))),
            ["grad_norm"] = 1 + Math.Sin(step * 78.233),
            ["learning_rate"] = 1e-4 * (1 - (step / (Steps + 1000.0))),
            ["samples_per_second"] = 100 + (10 * Math.Cos(step * 37.719)),
        },
    }, SnakeCaseJson.Options);

    private static void Tell(FormattableString line) => Console.WriteLine(FormattableString.Invariant(line));
}
