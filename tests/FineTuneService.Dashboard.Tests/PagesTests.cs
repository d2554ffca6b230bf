using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FineTuneService.EndToEnd.Tests;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace FineTuneService.Dashboard.Tests;

/// <summary>Every page: for everybody, on every screen, soon there.</summary>
public sealed class PagesTests(Service service, Browser browser) : IClassFixture<Service>, IClassFixture<Browser>
{
    private const int MostBytes = 400_000;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public async Task No_page_shuts_anybody_out(bool dark, bool phone)
    {
        var dataset = await service.Upload("train.tsv", 50);
        var job = await service.PostJob(new { name = "waits for its start", base_model = "tiny-bert-en", task = "text-classification", dataset = new { train = dataset }, scheduling = new { auto_start = false } });
        var page = await browser.Open(service.Http.BaseAddress!, dark, phone);
        await page.GotoAsync("/");
        await Browser.IsForEverybody(page, "sign in");
        await Browser.SignIn(page);
        foreach (var (address, shown) in new[] { ("jobs", "waits for its start"), ($"jobs/{job}", "With every default"), ("datasets", "train"), ($"datasets/{dataset}", "First rows"), ($"new-job?dataset={dataset}", "That fits"), ($"compare?jobs={job},{job}", "Compare 2 jobs"), ("workers", "Queues") })
        {
            await page.GotoAsync($"/#/{address}");
            await Expect(page.GetByText(shown).First).ToBeVisibleAsync();
            await Browser.IsForEverybody(page, address);
            Assert.Equal(0, await page.EvaluateAsync<int>("document.documentElement.scrollWidth - innerWidth"));
            await Browser.Picture(page, $"{address.Split('/', '?')[0]}{(address.Contains('/') ? "-one" : "")}-{(dark ? "dark" : "light")}");
        }
    }

    [Fact]
    public async Task The_form_finds_pairs_of_texts_and_offers_what_helps_against_forgetting()
    {
        using var file = new MultipartFormDataContent { { new StringContent("sentence2,sentence1,label\nIt rained.,The street is wet.,yes\nIt snowed.,The street is dry.,no\n"), "file", "pairs.csv" } };
        using var uploaded = await service.Http.PostAsync("/datasets", file, Cancel);
        var dataset = (string)JsonNode.Parse(await uploaded.Content.ReadAsStringAsync(Cancel))!["id"]!;
        var page = await browser.Open(service.Http.BaseAddress!);
        await Browser.SignIn(page);
        await page.GotoAsync($"/#/new-job?dataset={dataset}");
        var request = page.GetByLabel("Specification");

        await Expect(page.GetByLabel("Column with the text")).ToHaveValueAsync("sentence1");
        await Expect(page.GetByLabel("Column with the second text")).ToHaveValueAsync("sentence2");
        await Expect(request).ToHaveValueAsync(new Regex("\"text_pair_column\": \"sentence2\""));
        await page.GetByLabel("What to learn").SelectOptionAsync("causal-lm");
        await page.GetByText("Against forgetting").ClickAsync();
        await page.GetByLabel("Weight of staying near the base model (KL)").FillAsync("0.2");
        await Browser.Picture(page, "new-job-forgetting");

        await Expect(request).ToHaveValueAsync(new Regex("\"kl_to_base_weight\": 0.2"));
        await Expect(request).Not.ToHaveValueAsync(new Regex("text_pair_column"));
    }

    [Fact]
    public async Task A_keyboard_is_enough()
    {
        var page = await browser.Open(service.Http.BaseAddress!);
        await Browser.SignIn(page);
        await page.Keyboard.PressAsync("Tab");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Skip to content" })).ToBeFocusedAsync();
        await page.Keyboard.PressAsync("Enter");
        for (var presses = 0; presses < 4; presses++)
            await page.Keyboard.PressAsync("Tab");
        await page.GetByRole(AriaRole.Link, new() { Name = "New job" }).FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "New job" })).ToBeVisibleAsync();
    }

    /// <summary>The pages are made without this check, or a change of the API could not be built before its description is approved.</summary>
    [Fact]
    public async Task The_scripts_ask_for_what_the_API_has()
    {
        var folder = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "..", "..", "src", "FineTuneService.Dashboard"));
        using var check = Process.Start(new ProcessStartInfo("npm", ["run", "check"]) { WorkingDirectory = folder, RedirectStandardOutput = true })!;
        var said = await check.StandardOutput.ReadToEndAsync(Cancel);
        await check.WaitForExitAsync(Cancel);
        Assert.True(check.ExitCode == 0, said);
    }

    [Fact]
    public async Task The_pages_are_light_come_from_here_alone_and_run_nothing_inline()
    {
        var page = await browser.Open(service.Http.BaseAddress!);
        var heard = new ConcurrentQueue<IResponse>();
        page.Response += (_, answer) => heard.Enqueue(answer);
        await Browser.SignIn(page);
        var answers = heard.ToList();

        Assert.All(answers, answer => Assert.Equal(service.Http.BaseAddress!.Authority, new Uri(answer.Url).Authority));
        var pages = answers.Where(answer => answer.Url.EndsWith('/') || answer.Url.Contains("/assets/", StringComparison.Ordinal)).ToList();
        Assert.Equal(3, pages.Count);
        Assert.Contains("script-src 'self'", (await pages[0].AllHeadersAsync())["content-security-policy"].Replace("default-src", "script-src", StringComparison.Ordinal));
        var bytes = await Task.WhenAll(answers.Select(async answer => (await answer.Request.SizesAsync()).ResponseBodySize));
        TestContext.Current.SendDiagnosticMessage($"The first page weighs {bytes.Sum():N0} bytes in {answers.Count} answers.");
        Assert.InRange(bytes.Sum(), 10_000, MostBytes);
    }

    [Fact]
    public async Task Another_sites_page_cannot_act_as_whoever_has_signed_in()
    {
        using var strange = new HttpRequestMessage(HttpMethod.Get, "/me") { Headers = { { "Cookie", $"finetune_key={Service.Key}" }, { "Sec-Fetch-Site", "cross-site" } } };
        using var own = new HttpRequestMessage(HttpMethod.Get, "/me") { Headers = { { "Cookie", $"finetune_key={Service.Key}" }, { "Sec-Fetch-Site", "same-origin" } } };
        using var http = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = service.Http.BaseAddress };

        Assert.Equal(System.Net.HttpStatusCode.Unauthorized, (await http.SendAsync(strange, Cancel)).StatusCode);
        Assert.Equal(System.Net.HttpStatusCode.OK, (await http.SendAsync(own, Cancel)).StatusCode);
    }
}
