using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace FineTuneService.Deploy.Tests;

public sealed partial class DashboardTests
{
    private static readonly JsonObject Dashboard = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "deploy", "grafana", "finetune.json")))!.AsObject();

    private static IEnumerable<string> Queries => from panel in Dashboard["panels"]!.AsArray() from target in panel!["targets"]?.AsArray() ?? [] select (string)target!["expr"]!;

    [Fact]
    public void It_shows_every_number_that_the_hosts_tell_and_no_other()
    {
        // As Prometheus has them: finetune.queue.oldest, in seconds, is finetune_queue_oldest_seconds.
        var told = Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "instruments"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => Instrument().Matches(File.ReadAllText(file))).Select(match => match.Groups[1].Value.Replace('.', '_')).Order(StringComparer.Ordinal).ToList();
        var shown = Queries.SelectMany(query => Series().Matches(query)).Select(match => Suffix().Replace(match.Value, "")).Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(told, shown);
    }

    [Fact]
    public void No_two_panels_overlap()
    {
        var cells = from panel in Dashboard["panels"]!.AsArray()
                    let place = panel!["gridPos"]!
                    from x in Enumerable.Range((int)place["x"]!, (int)place["w"]!)
                    from y in Enumerable.Range((int)place["y"]!, (int)place["h"]!)
                    select (x, y);
        Assert.All(cells.GroupBy(cell => cell), cell => Assert.Single(cell));
        Assert.All(cells, cell => Assert.InRange(cell.x, 0, 23));
    }

    [GeneratedRegex("""(?:Gauge|Counter|Histogram)(?:<\w+>)?\("(finetune\.[a-z_.]+)""")]
    private static partial Regex Instrument();

    [GeneratedRegex(@"finetune_[a-z_]+")]
    private static partial Regex Series();

    [GeneratedRegex("_seconds(_bucket|_count|_sum)?$|_total$")]
    private static partial Regex Suffix();
}
