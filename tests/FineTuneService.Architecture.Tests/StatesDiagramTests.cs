using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using FineTuneService.Contracts;

namespace FineTuneService.Architecture.Tests;

/// <summary>docs/states.md is written from <see cref="JobStatus"/>, so that it cannot lie.</summary>
public sealed partial class StatesDiagramTests
{
    [Fact]
    public void The_diagram_shows_the_moves_that_the_code_allows()
    {
        var expected = Document();
        if (Repository.Files.Contains("docs/states.md") && Repository.Read("docs/states.md") == expected)
            return;
        var fresh = Path.Combine(Repository.Root, "artifacts", "states.md");
        File.WriteAllText(fresh, expected);
        Assert.Fail("docs/states.md differs from JobStatus. Take over the new one: cp artifacts/states.md docs/states.md");
    }

    [Fact]
    public void Every_allowed_move_and_no_other_is_drawn()
    {
        var moves = Moves(JobStatus.Queued, JobStatus.Succeeded).Split('\n').Select(line => line.Trim()).ToArray();
        Assert.Contains("[*] --> queued", moves);
        Assert.Contains("queued --> preparing", moves);
        Assert.DoesNotContain("queued --> running", moves);
        Assert.Contains("succeeded --> [*]", moves);
    }

    private static string Document() => $"""
        # States of a job

        Written by a test from `JobStatus` and `JobTransitions` (src/FineTuneService.Contracts/JobStatus.cs); change them there.

        ```mermaid
        stateDiagram-v2
        {Moves(Enum.GetValues<JobStatus>())}
        ```

        {string.Join('\n', Enum.GetValues<JobStatus>().Select(status => $"- **{Name(status)}** {Summary(status)}"))}

        """;

    private static string Moves(params JobStatus[] statuses) => string.Join('\n', (string[])
    [
        "    [*] --> queued",
        .. from origin in statuses
           from target in Enum.GetValues<JobStatus>()
           where origin.CanBecome(target)
           select $"    {Name(origin)} --> {Name(target)}",
        .. from status in statuses where status.IsTerminal() select $"    {Name(status)} --> [*]",
    ]);

    private static string Name(JobStatus status) => JsonSerializer.Serialize(status, SnakeCaseJson.Options).Trim('"');

    private static string Summary(JobStatus status)
    {
        var documentation = XDocument.Load(Path.ChangeExtension(typeof(JobStatus).Assembly.Location, ".xml"));
        var member = documentation.Descendants("member").Single(element => (string?)element.Attribute("name") == $"F:{typeof(JobStatus).FullName}.{status}");
        return Whitespace().Replace(member.Element("summary")!.Value.Trim(), " ");
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace();
}
