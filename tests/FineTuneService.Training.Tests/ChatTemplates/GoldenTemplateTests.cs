using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tests.ChatTemplates;

public sealed class GoldenTemplateTests
{
    public static TheoryData<string> Templates => [.. GoldenTemplates.Names];

    [Theory]
    [MemberData(nameof(Templates))]
    public void Equals_Jinja2(string name)
    {
        var golden = GoldenTemplates.Read(name);
        var differences = golden.Cases.Select(one => (Name: one.GetProperty("name").GetString(), Difference: Difference(golden, one))).Where(one => one.Difference is not null).ToList();

        if (differences.Count > 0)
            Assert.Fail($"{name}: {string.Join(", ", differences.Select(one => one.Name))} differ. {differences[0].Name}: {differences[0].Difference}");
    }

    [Fact]
    public void There_are_as_many_cases_as_the_README_says()
    {
        var cases = GoldenTemplates.Names.SelectMany(name => GoldenTemplates.Read(name).Cases).ToList();

        Assert.Equal(80, GoldenTemplates.Names.Length);
        Assert.Equal(1120, cases.Count);
        Assert.Equal(921, cases.Count(one => one.GetProperty("second_oracle_agrees").GetBoolean()));
        Assert.Equal(90, cases.Count(one => Kind(one) == "raise_exception"));
        Assert.Equal(74, cases.Count(one => Kind(one) == "runtime"));
        Assert.Equal(134, cases.Count(one => one.TryGetProperty("generation_spans", out _)));
    }

    private static string? Difference(GoldenTemplate golden, JsonElement one)
    {
        try
        {
            var rendered = golden.Template.Render(golden.Request(one));
            if (Kind(one) is { } kind)
                return $"an error of kind {kind} is expected: {one.GetProperty("error").GetString()}";
            return TextDifference(one.GetProperty("expected").GetString()!, rendered.Text)
                ?? SpanDifference(one, rendered.Text, [.. rendered.Generations.Select(span => (span.Start, span.End))]);
        }
        catch (FaultException error)
        {
            var fault = Assert.Single(error.Faults);
            return Kind(one) switch
            {
                "raise_exception" when fault.Message == one.GetProperty("error").GetString() => null,
                "runtime" => null,
                _ => fault.ToString(),
            };
        }
    }

    private static string? TextDifference(string expected, string actual)
    {
        if (expected == actual)
            return null;
        var at = expected.AsSpan().CommonPrefixLength(actual);
        return $"at {at} expected {JsonSerializer.Serialize(Around(expected, at))}, got {JsonSerializer.Serialize(Around(actual, at))}";

        static string Around(string text, int at) => text[Math.Max(0, at - 40)..Math.Min(text.Length, at + 40)];
    }

    private static string? SpanDifference(JsonElement one, string text, (int Start, int End)[] actual)
    {
        if (!one.TryGetProperty("generation_spans", out var spans))
            return actual.Length == 0 ? null : "no spans are expected";
        var expected = spans.EnumerateArray().Select(span => (span[0].GetInt32(), span[1].GetInt32())).ToArray();
        (int, int)[] counted = [.. actual.Select(span => (CodePoints(text, span.Start), CodePoints(text, span.End)))];
        return expected.SequenceEqual(counted) ? null : $"spans {string.Join(' ', expected)} are expected, got {string.Join(' ', counted)}";
    }

    private static int CodePoints(string text, int units) => Encoding.UTF32.GetByteCount(text.AsSpan(0, units)) / 4;

    private static string? Kind(JsonElement one) => one.TryGetProperty("error_kind", out var kind) ? kind.GetString() : null;
}
