using System.Formats.Tar;
using System.Text.RegularExpressions;
using FineTuneService.EndToEnd.Tests;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneService.Dashboard.Tests;

/// <summary>The way of somebody who has a file and has never written a training loop.</summary>
public sealed partial class NewUserTests(Service service, Browser browser) : IClassFixture<Service>, IClassFixture<Browser>
{
    private const float Long = 240_000; // Milliseconds: what looks at data steps back before everything else on the machine.

    [GeneratedRegex(@"training ([\d.]+) at step 1, ([\d.]+) at step (\d+)")]
    private static partial Regex LossIs { get; }

    [Fact]
    public async Task From_a_file_to_a_model_that_answers()
    {
        service.StartWorker();
        var page = await browser.Open(service.Http.BaseAddress!);
        await SignIn(page);
        await Upload(page);
        await Clean(page);
        await StartJob(page, "quick");
        var first = await WatchItLearn(page);
        await ReadReport(page);
        await AskIt(page);
        await Download(page);

        await page.GetByRole(AriaRole.Link, new() { Name = "Clone" }).ClickAsync();
        var spec = page.GetByRole(AriaRole.Textbox, new() { Name = "Specification" }); // The page before has a section of this name.
        await Expect(spec).ToHaveValueAsync(new Regex("quick again"));
        await spec.FillAsync((await spec.InputValueAsync()).Replace("\"learning_rate\": 0.001", "\"learning_rate\": 0.0001", StringComparison.Ordinal));
        await page.GetByRole(AriaRole.Button, new() { Name = "Start training" }).ClickAsync();
        var second = await WatchItLearn(page);

        Assert.NotEqual(first, second);
        await Compare(page);
    }

    [Fact]
    public async Task A_language_model_writes_beside_the_one_it_began_as()
    {
        service.StartWorker();
        var id = await service.PostJob(new
        {
            base_model = "tiny-llama-en",
            task = "causal-lm",
            method = new { type = "lora", r = 4 },
            dataset = new { train = await service.Upload("shakespeare", "train.jsonl", rows: 20, header: 0), validation_split = 0.2 },
            training = new { num_train_epochs = 1, learning_rate = 1e-3, max_length = 64 },
        });
        await service.WaitForStatus(id, "succeeded");
        var page = await browser.Open(service.Http.BaseAddress!);
        await Browser.SignIn(page);
        await page.GotoAsync($"/#/jobs/{id}");
        await page.GetByLabel("Beginning of a text").FillAsync("First Citizen:");
        await page.GetByLabel("Tokens", new() { Exact = true }).FillAsync("12");
        await page.GetByLabel("Beside the base model").CheckAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Continue" }).ClickAsync();

        foreach (var name in new[] { "This job", "tiny-llama-en" })
            await Expect(page.GetByRole(AriaRole.Figure, new() { Name = $"Answer of {name}" }).Locator("blockquote")).ToHaveTextAsync(new Regex(@"^First Citizen:\S*\s+\S+"), new() { Timeout = 60_000 });
        await Browser.Picture(page, "9-beside");
    }

    private static async Task SignIn(IPage page)
    {
        await page.GotoAsync("/");
        await page.GetByLabel("API key").FillAsync("ft_wrong");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("unknown, revoked or expired");
        await Browser.Picture(page, "1-sign-in");

        await Browser.SignIn(page);
        Assert.DoesNotContain(Service.Key, await page.EvaluateAsync<string>("document.cookie"));
    }

    private static async Task Upload(IPage page)
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("finetune-upload-").FullName, "reviews.tsv");
        var rows = File.ReadLines(Path.Combine(Service.Samples, "sst2", "train.tsv")).Take(431).ToList();
        await File.WriteAllLinesAsync(file, [.. rows, .. rows.Skip(1).Take(29), "write to someone@example.com for your money\t0"]); // As files are that come from people.
        await page.GetByRole(AriaRole.Link, new() { Name = "Datasets" }).ClickAsync();
        await page.Locator("input[type=file]").SetInputFilesAsync(file);

        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "reviews" })).ToBeVisibleAsync();
        await Expect(page.GetByText("460 rows")).ToBeVisibleAsync();
        await Browser.Picture(page, "2-dataset");
        File.Delete(file);
    }

    private static async Task Clean(IPage page)
    {
        await page.GetByRole(AriaRole.Button, new() { Name = "Look for faults" }).ClickAsync();
        var repeated = page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "exact duplicate" });
        await Expect(repeated).ToContainTextAsync("29", new() { Timeout = Long });
        await repeated.Locator("summary").ClickAsync();
        await Expect(repeated.GetByRole(AriaRole.Table)).ToBeVisibleAsync();
        await Expect(page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = "personal data" })).ToBeVisibleAsync();
        await Browser.Picture(page, "2-report");

        await page.GetByRole(AriaRole.Button, new() { Name = "Make a cleaned dataset" }).ClickAsync();
        var cleaned = page.GetByRole(AriaRole.Region, new() { Name = "Cleaned" });
        await Expect(cleaned).ToContainTextAsync("29 exact duplicate", new() { Timeout = Long });
        await Browser.Picture(page, "2-cleaned");
    }

    private static async Task StartJob(IPage page, string name)
    {
        await page.GetByRole(AriaRole.Region, new() { Name = "Cleaned" }).GetByRole(AriaRole.Link, new() { Name = "Fine-tune on it" }).ClickAsync();
        // What it is for, and its columns, are guessed from the file.
        await Expect(page.GetByLabel("What to learn")).ToHaveValueAsync("text-classification");
        await Expect(page.GetByLabel("Column with the text")).ToHaveValueAsync("text");
        await Expect(page.GetByLabel("Column with the label")).ToHaveValueAsync("label");
        await Expect(page.GetByLabel("Validation rows")).Not.ToHaveValueAsync("");
        await page.GetByLabel("Base model").SelectOptionAsync("tiny-bert-en");
        await page.GetByLabel("Epochs").FillAsync("3");
        await page.GetByLabel("Learning rate").FillAsync("0.001");
        await page.GetByLabel("Longest row").FillAsync("48");
        await page.GetByLabel("Name", new() { Exact = true }).FillAsync(name);
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Memory" })).ToContainTextAsync("That fits");
        await Browser.Picture(page, "3-new-job");
        await page.GetByRole(AriaRole.Button, new() { Name = "Start training" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = name })).ToBeVisibleAsync();
    }

    /// <summary>The curve grows on the open page, without a reload.</summary>
    private static async Task<string> WatchItLearn(IPage page)
    {
        var loss = page.GetByRole(AriaRole.Figure, new() { Name = "Loss: training" });
        var early = LossIs.Match(await loss.GetAttributeAsync("aria-label", new() { Timeout = 60_000 }) ?? "");
        Assert.True(early.Success);
        await Browser.Picture(page, "4-running");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToContainTextAsync("succeeded", new() { Timeout = 120_000 });

        var label = await loss.GetAttributeAsync("aria-label") ?? "";
        var late = LossIs.Match(label);
        Assert.True(int.Parse(late.Groups[3].Value, System.Globalization.CultureInfo.InvariantCulture) > int.Parse(early.Groups[3].Value, System.Globalization.CultureInfo.InvariantCulture), $"{early} … {late}");
        Assert.Contains("validation", label);
        Assert.NotEmpty(await loss.Locator("canvas").AllAsync());
        // Every chart grows: at its right edge the cursor is at the last step.
        var rate = page.GetByRole(AriaRole.Figure, new() { Name = "Learning rate" });
        var plot = rate.Locator(".u-over");
        await plot.HoverAsync(new() { Position = new() { X = (await plot.BoundingBoxAsync())!.Width - 2, Y = 20 } });
        await Expect(rate.GetByRole(AriaRole.Row, new() { Name = "step" })).ToContainTextAsync(late.Groups[3].Value);
        await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Events" })).ToContainTextAsync("became succeeded");
        await Browser.Picture(page, "5-done");
        return label;
    }

    private static async Task ReadReport(IPage page)
    {
        var report = page.GetByRole(AriaRole.Region, new() { Name = "Errors and calibration" });
        await Expect(report.GetByRole(AriaRole.Img, new() { NameRegex = new Regex("^Calibration error ") })).ToBeVisibleAsync();
        await Expect(report.GetByRole(AriaRole.Img, new() { NameRegex = new Regex("abstain_below") })).ToBeVisibleAsync();
        await Expect(report.GetByRole(AriaRole.Columnheader, new() { Name = "precision" })).ToBeVisibleAsync();
        await report.GetByText("Its surest mistakes").ClickAsync();
        var mistake = report.Locator("table.rows tbody tr").First;
        await Expect(mistake.Locator("td").Nth(1)).Not.ToHaveTextAsync("–"); // The text that the line has.
        foreach (var scheme in new[] { ColorScheme.Dark, ColorScheme.Light })
        {
            await page.EmulateMediaAsync(new() { ColorScheme = scheme });
            await Browser.IsForEverybody(page, $"report, {scheme}");
            await Browser.Picture(page, $"5-report-{scheme}");
        }
    }

    private static async Task AskIt(IPage page)
    {
        await page.GetByLabel("Text to classify").FillAsync("a warm and funny film");
        await page.GetByRole(AriaRole.Button, new() { Name = "Classify" }).ClickAsync();
        var shares = page.GetByRole(AriaRole.Region, new() { Name = "Try it" }).GetByRole(AriaRole.Listitem);
        await Expect(shares).ToHaveCountAsync(2, new() { Timeout = 60_000 });
        await Browser.Picture(page, "6-answer");
    }

    /// <summary>A link, which the browser asks for with its cookie.</summary>
    private static async Task Download(IPage page)
    {
        var download = await page.RunAndWaitForDownloadAsync(() => page.GetByRole(AriaRole.Link, new() { Name = "tar" }).First.ClickAsync());
        await using var archive = File.OpenRead((await download.PathAsync())!);
        await using var tar = new TarReader(archive);
        var files = new List<string>();
        while (await tar.GetNextEntryAsync(cancellationToken: TestContext.Current.CancellationToken) is { } entry)
            files.Add(Path.GetFileName(entry.Name));
        Assert.Contains("model.safetensors", files);
    }

    private static async Task Compare(IPage page)
    {
        await page.GetByRole(AriaRole.Link, new() { Name = "Jobs" }).ClickAsync();
        var boxes = page.GetByRole(AriaRole.Checkbox, new() { Name = "compare quick" });
        await Expect(boxes).ToHaveCountAsync(2);
        foreach (var box in await boxes.AllAsync())
            await box.CheckAsync();
        await Browser.Picture(page, "7-jobs");
        await page.GetByRole(AriaRole.Button, new() { Name = "Compare" }).ClickAsync();

        var row = page.GetByRole(AriaRole.Row).Filter(new() { HasText = "/training/learning_rate" });
        await Expect(row).ToContainTextAsync("0.0001");
        await Expect(row).ToContainTextAsync("0.001");
        await Expect(page.GetByRole(AriaRole.Figure, new() { Name = "Validation: accuracy: quick again" })).ToBeVisibleAsync();
        var pairs = page.GetByRole(AriaRole.Region, new() { Name = "Better, or by chance?" });
        await Expect(pairs).ToContainTextAsync(new Regex("on \\d+ rows: \\d+ rows went from right to wrong, \\d+ from wrong to right"));
        foreach (var rows in await pairs.Locator("summary").AllAsync())
            await rows.ClickAsync();
        await Browser.IsForEverybody(page, "compare");
        await Browser.Picture(page, "8-compare");
    }
}
