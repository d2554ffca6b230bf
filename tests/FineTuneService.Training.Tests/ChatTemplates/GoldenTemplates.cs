using System.Globalization;
using System.Text.Json;
using FineTuneService.Training.ChatTemplates;

namespace FineTuneService.Training.Tests.ChatTemplates;

/// <summary>The golden templates; Fixtures/chat_templates/README.md tells what made them.</summary>
internal static class GoldenTemplates
{
    public static string[] Names { get; } = [.. Directory.GetFiles(Folder, "*.json").Select(Path.GetFileNameWithoutExtension).OfType<string>().Order(StringComparer.Ordinal)];

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Fixtures", "chat_templates");

    public static GoldenTemplate Read(string name) =>
        new(JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, name + ".json"))).RootElement);
}

internal sealed class GoldenTemplate(JsonElement file)
{
    private readonly FixedClock _clock = new(DateTime.Parse(file.GetProperty("now").GetString()!, CultureInfo.InvariantCulture));

    public ChatTemplate Template { get; } = ChatTemplate.Parse(file.GetProperty("template").GetString()!, file.GetProperty("name").GetString()!);

    public IEnumerable<JsonElement> Cases => file.GetProperty("cases").EnumerateArray();

    public ChatRequest Request(JsonElement one)
    {
        var variables = file.GetProperty("variables").EnumerateObject().ToDictionary(variable => variable.Name, variable => variable.Value);
        if (one.TryGetProperty("kwargs", out var others))
        {
            foreach (var other in others.EnumerateObject())
                variables[other.Name] = other.Value;
        }
        return new(one.GetProperty("messages"))
        {
            AddGenerationPrompt = one.GetProperty("add_generation_prompt").GetBoolean(),
            Tools = one.TryGetProperty("tools", out var tools) ? tools : null,
            Variables = variables,
            Clock = _clock,
        };
    }
}

internal sealed class FixedClock(DateTime now) : TimeProvider
{
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override DateTimeOffset GetUtcNow() => new(now, TimeSpan.Zero);
}
