using System.Globalization;
using System.Numerics;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates.Jinja.Values;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>JSON as Python's json.loads reads it: whole numbers of any size, the last of equal keys.</summary>
internal static class JsonValues
{
    /// <param name="element">Any JSON.</param>
    /// <param name="pointer">Where it stands, for faults.</param>
    public static object Read(JsonElement element, string pointer) => element.ValueKind switch
    {
        JsonValueKind.Object => ReadObject(element, pointer),
        JsonValueKind.Array => new ListValue([.. element.EnumerateArray().Select(item => Read(item, pointer))]),
        JsonValueKind.String => Text(element.GetString, pointer),
        JsonValueKind.True => Boxed.True,
        JsonValueKind.False => Boxed.False,
        JsonValueKind.Number => ReadNumber(element),
        _ => None.Value,
    };

    private static DictValue ReadObject(JsonElement element, string pointer)
    {
        var dict = new DictValue(element.GetPropertyCount());
        foreach (var member in element.EnumerateObject())
        {
            var name = Text(() => member.Name, pointer);
            dict[name] = Read(member.Value, pointer);
        }
        return dict;
    }

    private static object ReadNumber(JsonElement element) => element.TryGetInt64(out var integer) ? Boxed.Of(integer)
        : element.GetRawText() is var digits && digits.AsSpan().ContainsAny(".eE") ? element.GetDouble()
        : BigInteger.Parse(digits, CultureInfo.InvariantCulture);

    private static string Text(Func<string?> read, string pointer)
    {
        try
        {
            return read()!;
        }
        catch (InvalidOperationException)
        {
            throw new FaultException(pointer, null, "A string holds half of a surrogate pair.", "Write the whole character.");
        }
    }
}
