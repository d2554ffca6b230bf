using Deque.AxeCore.Playwright;
using FineTuneService.EndToEnd.Tests;
using Microsoft.Playwright;

namespace FineTuneService.Dashboard.Tests;

/// <summary>The system's Chromium. Screenshots lie beside the tests, for a person to look at.</summary>
public sealed class Browser : IAsyncLifetime
{
    private const float Patience = 30_000; // Milliseconds; other suites may be at work.

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public static string Screenshots { get; } = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "screenshots")).FullName;

    public async ValueTask InitializeAsync()
    {
        Assertions.SetDefaultExpectTimeout(Patience);
        _playwright = await Playwright.CreateAsync();
        // Without a sandbox: tests run as root, too, and see no pages but ours.
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Find(), Args = ["--no-sandbox", "--disable-dev-shm-usage"] });
    }

    public async ValueTask DisposeAsync()
    {
        await _browser!.DisposeAsync();
        _playwright!.Dispose();
    }

    /// <summary>A page that nobody has signed in on, in a browser profile of its own; what goes wrong in its scripts fails the test.</summary>
    public async Task<IPage> Open(Uri address, bool dark = false, bool phone = false)
    {
        var context = await _browser!.NewContextAsync(new()
        {
            BaseURL = address.ToString(),
            ColorScheme = dark ? ColorScheme.Dark : ColorScheme.Light,
            ViewportSize = phone ? new() { Width = 390, Height = 844 } : new() { Width = 1280, Height = 900 },
        });
        context.SetDefaultTimeout(Patience);
        var page = await context.NewPageAsync();
        page.PageError += (_, error) => throw new InvalidOperationException($"A script of {page.Url} failed: {error}");
        return page;
    }

    public static async Task SignIn(IPage page)
    {
        await page.GotoAsync("/");
        await page.GetByLabel("API key").FillAsync(Service.Key);
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Jobs" })).ToBeVisibleAsync();
    }

    public static Task Picture(IPage page, string name) => page.ScreenshotAsync(new() { Path = Path.Combine(Screenshots, $"{name}.png"), FullPage = true });

    /// <summary>axe finds nothing serious on the page as it is shown.</summary>
    public static async Task IsForEverybody(IPage page, string where)
    {
        var found = (await page.RunAxe()).Violations.Where(violation => violation.Impact is "serious" or "critical").ToList();
        Assert.True(found.Count == 0, $"{where}: {string.Join("; ", found.Select(violation => $"{violation.Id}: {violation.Help} ({string.Join(", ", violation.Nodes.Select(node => node.Html))})"))}");
    }

    private static string Find() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').SelectMany(folder => new[] { "chromium", "chromium-browser", "google-chrome" }.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists)
        ?? throw new InvalidOperationException("There is no Chromium on this machine: ./test installs it.");
}
