using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates;

namespace FineTuneService.Training.Tests.ChatTemplates;

/// <summary>Small templates, one a construct: semantics.jsonl, written by Jinja2 3.1.6 (semantics.py).</summary>
public sealed class SemanticsTests
{
    /// <summary>Where we differ from Jinja2 on purpose, with the reason. This list may only shrink.</summary>
    private static readonly Dictionary<string, string> Exceptions = new()
    {
        ["{{ d.items() }}"] = "a dict's views are lists here: only printing one, instead of looping over it, shows that",
    };

    [Fact]
    public void Equals_Jinja2()
    {
        var lines = File.ReadLines(Path.Combine(GoldenTemplates.Folder, "semantics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        var request = new ChatRequest(JsonDocument.Parse("[]").RootElement)
        {
            Variables = lines[0].GetProperty("variables").EnumerateObject().ToDictionary(variable => variable.Name, variable => variable.Value),
            Clock = new FixedClock(new DateTime(2026, 1, 5, 9, 5, 7)),
        };
        var differing = lines.Skip(1).Select(one => (Template: one.GetProperty("template").GetString()!, Difference: Difference(one, request))).Where(one => one.Difference is not null).ToList();

        Assert.Empty(differing.Where(one => !Exceptions.ContainsKey(one.Template)).Select(one => $"{one.Template}: {one.Difference}"));
        Assert.Empty(Exceptions.Keys.Except(differing.Select(one => one.Template)));
        Assert.Equal(594, lines.Count - 1);
    }

    private static string? Difference(JsonElement one, ChatRequest request)
    {
        var fails = one.TryGetProperty("fails", out var stage) ? stage.GetString() : null;
        ChatTemplate template;
        try
        {
            template = ChatTemplate.Parse(one.GetProperty("template").GetString()!, "semantics");
        }
        catch (FaultException error)
        {
            return fails == "parsing" ? null : $"does not parse: {error.Message}";
        }
        if (fails == "parsing")
            return "parses, but should not";
        try
        {
            var text = template.Render(request).Text;
            return fails is not null ? $"an error is expected, got {text}" : text == one.GetProperty("expected").GetString() ? null : $"expected {one.GetProperty("expected")}, got {text}";
        }
        catch (FaultException error)
        {
            return fails == "rendering" ? null : $"does not render: {error.Message}";
        }
    }
}
