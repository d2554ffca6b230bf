using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;
using FineTuneService.Contracts;

namespace FineTuneService.Training;

/// <summary>
/// Reads JSON against the contract of a type and tells every fault, where System.Text.Json would stop at the first.
/// Limits come from <c>[Range]</c>, <c>[Length]</c>, <c>[MaxLength]</c>, <c>[RegularExpression]</c> and <c>[DeniedValues]</c> on the properties.
/// </summary>
public sealed class JsonContract(JsonSerializerOptions options, FaultList faults)
{
    /// <summary>No honest request comes near it.</summary>
    public const int MaxBytes = 1 << 20;

    private const int MostFaults = 100;
    private const string Discriminator = "type";

    private static readonly JsonDocumentOptions Syntax = new() { MaxDepth = 32 };

    private readonly Dictionary<string, string> _spelled = [];

    /// <summary>Old names: JSON pointer to the property's present name.</summary>
    public IReadOnlyDictionary<string, string> Renamed { get; init; } = new Dictionary<string, string>();

    /// <summary>Old names of switches that have become a choice: JSON pointer to what true and false are called now.</summary>
    public IReadOnlyDictionary<string, (string True, string False)> Switches { get; init; } = new Dictionary<string, (string, string)>();

    /// <summary>Names that deserve a better answer than "unknown": JSON pointer to message and remedy.</summary>
    public IReadOnlyDictionary<string, (string Message, string Remedy)> Refused { get; init; } = new Dictionary<string, (string, string)>();

    /// <summary>The pointer under which the document holds this property: another one where an old name was used.</summary>
    public string Spelled(string pointer) => _spelled.GetValueOrDefault(pointer, pointer);

    /// <summary>What is sound of the document, with shorthands and old names written out; faulty members are left out.</summary>
    public JsonNode? Read<T>(JsonElement json) => Read(json, typeof(T), "", new(null, null));

    /// <summary>Reads a whole document of this type.</summary>
    /// <exception cref="FaultException">With every fault of the document.</exception>
    public static async Task<T> ReadAsync<T>(Stream utf8, JsonSerializerOptions options, CancellationToken cancel = default)
    {
        var faults = new FaultList();
        var sound = new JsonContract(options, faults).Read<T>(await ParseAsync(utf8, cancel));
        faults.ThrowIfAny();
        return sound.Deserialize<T>(options)!;
    }

    /// <summary>The document as it stands, not yet judged.</summary>
    /// <exception cref="FaultException">When it is not JSON, nested too deeply, or longer than <see cref="MaxBytes"/>.</exception>
    public static async Task<JsonElement> ParseAsync(Stream utf8, CancellationToken cancel = default)
    {
        var buffer = new MemoryStream();
        var chunk = new byte[16 * 1024];
        while (buffer.Length <= MaxBytes && await utf8.ReadAsync(chunk, cancel) is > 0 and var read)
            buffer.Write(chunk, 0, read);
        return Parse(buffer.GetBuffer().AsMemory(0, (int)buffer.Length));
    }

    /// <inheritdoc cref="ParseAsync"/>
    public static JsonElement Parse(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.Length > MaxBytes)
            throw new FaultException("", null, $"The document is longer than {MaxBytes} bytes.", "It holds settings or texts to classify; upload rows as a dataset.");
        if (!Utf8.IsValid(utf8.Span)) // The parser does not look into strings.
            throw new FaultException("", null, "The document is not valid UTF-8.", "Send it as UTF-8.");
        try
        {
            using var document = JsonDocument.Parse(utf8.Span.StartsWith("\uFEFF"u8) ? utf8[3..] : utf8, Syntax);
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new FaultException("", $"line {error.LineNumber + 1}, byte {error.BytePositionInLine + 1}", "This is not JSON.", error.Message);
        }
    }

    private JsonNode? Read(JsonElement json, Type declared, string pointer, Limits limits)
    {
        var type = Nullable.GetUnderlyingType(declared) ?? declared;
        if (IsAuto(type))
        {
            if (json.ValueKind == JsonValueKind.String && Text(json, pointer) is var text and (null or "auto"))
                return text is null ? null : JsonValue.Create(text);
            return ReadScalar(json, type.GetGenericArguments()[0], pointer, limits with { OrAuto = " or \"auto\"" });
        }
        if (IsOneOrMany(type))
        {
            var one = type.GetGenericArguments()[0];
            return json.ValueKind == JsonValueKind.Array ? ReadList(json, one, pointer, new(null, null)) : ReadScalar(json, one, pointer, limits with { OrAuto = " or a list" });
        }
        if (type == typeof(JsonElement))
            return ReadAny(json, pointer);
        var info = options.GetTypeInfo(type);
        if (info.PolymorphismOptions is { } polymorphism)
            return ReadDerived(json, polymorphism, pointer);
        return info.Kind switch
        {
            JsonTypeInfoKind.Object => ReadObject(json, info, pointer),
            JsonTypeInfoKind.Dictionary => ReadDictionary(json, info, pointer, limits),
            JsonTypeInfoKind.Enumerable => ReadList(json, info.ElementType!, pointer, limits),
            _ => ReadScalar(json, type, pointer, limits),
        };
    }

    private JsonObject? ReadDerived(JsonElement json, JsonPolymorphismOptions polymorphism, string pointer)
    {
        var types = polymorphism.DerivedTypes.ToDictionary(derived => (string)derived.TypeDiscriminator!, derived => derived.DerivedType);
        JsonElement name = default;
        try
        {
            if (json.ValueKind == JsonValueKind.String)
                name = json;
            else if (json.ValueKind == JsonValueKind.Object)
                json.TryGetProperty(Discriminator, out name);
        }
        catch (InvalidOperationException) // an unpaired surrogate escape in some name
        {
            _ = Members(json, pointer).Count(); // Tells which.
            return null;
        }
        var at = json.ValueKind == JsonValueKind.Object ? $"{pointer}/{Discriminator}" : pointer;
        if (name.ValueKind != JsonValueKind.String)
            return Fault<JsonObject>(at, name, "A type is required.", $"Give one of: {string.Join(", ", types.Keys.Order())}.");
        if (Text(name, at) is not { } chosen)
            return null;
        if (!types.TryGetValue(chosen, out var type))
            return Fault<JsonObject>(at, name, "There is no such type.", Suggest(chosen, types.Keys));
        var sound = json.ValueKind == JsonValueKind.String ? [] : ReadObject(json, options.GetTypeInfo(type), pointer, Discriminator);
        sound?.Insert(0, Discriminator, chosen);
        return sound;
    }

    private JsonObject? ReadObject(JsonElement json, JsonTypeInfo info, string pointer, string? skip = null)
    {
        if (json.ValueKind != JsonValueKind.Object)
            return Fault<JsonObject>(pointer, json, $"Expected an object, found {Kind(json)}.", $"Give an object with {string.Join(", ", info.Properties.Select(known => known.Name))}.");

        var properties = info.Properties.ToDictionary(property => property.Name);
        var sound = new JsonObject();
        var seen = new HashSet<string>();
        foreach (var (given, value) in Members(json, pointer))
        {
            var name = Renamed.GetValueOrDefault($"{pointer}/{Escape(given)}", given);
            var at = $"{pointer}/{Escape(given)}";
            if (!seen.Add(name))
                Fault(at, value, name == given ? "This name stands here twice." : $"This is the old name of {name}, which stands here as well.", "Keep one of them.");
            else if (Refused.TryGetValue(at, out var answer))
                Fault(at, value, answer.Message, answer.Remedy);
            else if (name != skip && !properties.ContainsKey(name))
                Fault(at, value, "There is no such field.", Suggest(given, properties.Keys));
            else if (name != skip)
            {
                if (name != given)
                    _spelled[$"{pointer}/{name}"] = at;
                if ((Switches.TryGetValue(at, out var choice) ? ReadSwitch(value, choice, at) : ReadMember(value, properties[name], info, at)) is { } node)
                    sound[name] = node;
            }
        }
        foreach (var missing in info.Properties.Where(property => property.IsRequired && !seen.Contains(property.Name)))
            Fault($"{pointer}/{missing.Name}", default, "This field is required.", $"Add \"{missing.Name}\".");
        return sound;
    }

    private JsonNode? ReadMember(JsonElement json, JsonPropertyInfo property, JsonTypeInfo owner, string pointer)
    {
        if (json.ValueKind != JsonValueKind.Null)
            return Read(json, property.PropertyType, pointer, new(property, owner));
        if (!property.IsSetNullable || property.PropertyType.IsValueType && Nullable.GetUnderlyingType(property.PropertyType) is null)
            Fault(pointer, json, "null is no value here.", property.IsRequired ? "Give a value." : "Give a value, or leave the field out.");
        return null;
    }

    private JsonNode? ReadSwitch(JsonElement json, (string True, string False) choice, string pointer) => json.ValueKind switch
    {
        JsonValueKind.True => JsonValue.Create(choice.True),
        JsonValueKind.False => JsonValue.Create(choice.False),
        _ => Wrong(json, "true or false", pointer, new(null, null)),
    };

    private JsonObject? ReadDictionary(JsonElement json, JsonTypeInfo info, string pointer, Limits limits)
    {
        if (json.ValueKind != JsonValueKind.Object)
            return Fault<JsonObject>(pointer, json, $"Expected an object, found {Kind(json)}.", "Give names and values: {\"name\": \"value\"}.");
        var sound = new JsonObject();
        foreach (var (name, value) in Members(json, pointer))
        {
            if (sound.ContainsKey(name))
                Fault($"{pointer}/{Escape(name)}", value, "This name stands here twice.", "Keep one of them.");
            else if (Read(value, info.ElementType!, $"{pointer}/{Escape(name)}", new(null, null)) is { } node)
                sound[name] = node;
        }
        if (limits.Of<MaxLengthAttribute>() is { } most && sound.Count > most.Length)
            return Fault<JsonObject>(pointer, default, $"{sound.Count} pairs are too many.", $"Give at most {most.Length}.");
        return sound;
    }

    private JsonArray? ReadList(JsonElement json, Type elementType, string pointer, Limits limits)
    {
        if (json.ValueKind != JsonValueKind.Array)
            return Fault<JsonArray>(pointer, json, $"Expected a list, found {Kind(json)}.", "Give a list: [ … ].");
        var (least, most) = limits.Of<LengthAttribute>() is { } length ? (length.MinimumLength, length.MaximumLength) : (0, limits.Of<MaxLengthAttribute>()?.Length ?? int.MaxValue);
        if (json.GetArrayLength() is var count && (count < least || count > most))
            return Fault<JsonArray>(pointer, default, $"{count} entries are out of bounds.", $"Give {least} to {most}.");
        return [.. json.EnumerateArray().Select((element, index) => Read(element, elementType, $"{pointer}/{index}", new(null, null)))];
    }

    /// <summary>Whatever it is: only its names and texts must be sound.</summary>
    private JsonNode? ReadAny(JsonElement json, string pointer)
    {
        if (json.ValueKind == JsonValueKind.Array)
            return new JsonArray([.. json.EnumerateArray().Select((element, index) => ReadAny(element, $"{pointer}/{index}"))]);
        if (json.ValueKind != JsonValueKind.Object)
            return json.ValueKind == JsonValueKind.String ? Text(json, pointer) : JsonNode.Parse(json.GetRawText());
        var sound = new JsonObject();
        foreach (var (name, value) in Members(json, pointer))
        {
            var at = $"{pointer}/{Escape(name)}";
            if (!sound.TryAdd(name, ReadAny(value, at)))
                Fault(at, value, "This name stands here twice.", "Keep one of them.");
        }
        return sound;
    }

    private JsonNode? ReadScalar(JsonElement json, Type type, string pointer, Limits limits)
    {
        if (type == typeof(string))
            return json.ValueKind == JsonValueKind.String ? ReadText(json, pointer, limits) : Wrong(json, "a string", pointer, limits);
        if (type == typeof(DateTimeOffset))
            return json.ValueKind != JsonValueKind.String ? Wrong(json, "a time", pointer, limits)
                : Text(json, pointer) is not { } time ? null
                : json.TryGetDateTimeOffset(out _) ? JsonValue.Create(time)
                : Fault<JsonNode>(pointer, json, "This is no time.", "Give one as in RFC 3339, such as 2026-01-31T12:00:00Z.");
        if (type == typeof(bool))
            return json.ValueKind is JsonValueKind.True or JsonValueKind.False ? JsonValue.Create(json.GetBoolean()) : Wrong(json, "true or false", pointer, limits);
        if (type.IsEnum)
            return ReadEnum(json, type, pointer, limits);
        if (json.ValueKind != JsonValueKind.Number)
            return Wrong(json, "a number", pointer, limits);
        if (type == typeof(double))
            return Bounded(json.GetDouble(), json, pointer, limits);
        return json.TryGetInt64(out var whole) && (type == typeof(long) || whole is >= int.MinValue and <= int.MaxValue)
            ? Bounded(whole, json, pointer, limits)
            : Fault<JsonNode>(pointer, json, $"Expected a whole number of {(type == typeof(long) ? 64 : 32)} bits.", Usual(limits, limits.Expected()));
    }

    private JsonNode? ReadEnum(JsonElement json, Type type, string pointer, Limits limits)
    {
        var names = Enum.GetValues(type).Cast<object>().Select(value => JsonSerializer.SerializeToElement(value, type, options).GetString()!).ToArray();
        var allowed = $"Give one of: {string.Join(", ", names)}.";
        if (json.ValueKind != JsonValueKind.String)
            return Fault<JsonNode>(pointer, json, $"Expected a name, found {Kind(json)}.", Usual(limits, allowed));
        if (Text(json, pointer) is not { } name)
            return null;
        return names.Contains(name) ? JsonValue.Create(name) : Fault<JsonNode>(pointer, json, "This is none of the allowed values.", Usual(limits, allowed));
    }

    private JsonNode? ReadText(JsonElement json, string pointer, Limits limits)
    {
        if (Text(json, pointer) is not { } text)
            return null;
        if (limits.Of<RegularExpressionAttribute>() is { } shape && !shape.IsValid(text))
            return Fault<JsonNode>(pointer, json, "This text has not the shape that is expected here.", $"Give one that matches {shape.Pattern}.");
        return limits.Of<LengthAttribute>() is not { } length || (text.Length >= length.MinimumLength && text.Length <= length.MaximumLength)
            ? JsonValue.Create(text)
            : Fault<JsonNode>(pointer, json, $"{text.Length} characters are out of bounds.", $"Give {length.MinimumLength} to {length.MaximumLength} characters.");
    }

    private JsonNode? Bounded(double number, JsonElement json, string pointer, Limits limits)
    {
        var denied = limits.Of<DeniedValuesAttribute>()?.Values.Any(value => Convert.ToDouble(value, CultureInfo.InvariantCulture) == number) == true;
        if (!double.IsFinite(number) || denied || (limits.Of<RangeAttribute>() is { } range && !Within(number, range)))
            return Fault<JsonNode>(pointer, json, "This number is out of bounds.", Usual(limits, limits.Expected()));
        return JsonNode.Parse(json.GetRawText());
    }

    private static bool Within(double number, RangeAttribute range)
    {
        var (least, most) = (Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture));
        return (range.MinimumIsExclusive ? number > least : number >= least) && (range.MaximumIsExclusive ? number < most : number <= most);
    }

    private IEnumerable<(string Name, JsonElement Value)> Members(JsonElement json, string pointer)
    {
        foreach (var member in json.EnumerateObject())
        {
            string? name = null;
            try
            {
                name = member.Name;
            }
            catch (InvalidOperationException) // an unpaired surrogate escape
            {
            }
            if (name is null || name.Contains('\0'))
                Fault(pointer, default, "A field's name is no valid text.", "Remove NUL characters and unpaired surrogate escapes from it.");
            else
                yield return (name, member.Value);
        }
    }

    /// <summary>Postgres stores neither NUL nor half a surrogate pair, though JSON can spell both.</summary>
    private string? Text(JsonElement json, string pointer)
    {
        try
        {
            if (json.GetString() is { } text && !text.Contains('\0'))
                return text;
        }
        catch (InvalidOperationException)
        {
        }
        return Fault<string>(pointer, default, "This is no valid text.", "Remove NUL characters and unpaired surrogate escapes.");
    }

    private JsonNode? Wrong(JsonElement json, string expected, string pointer, Limits limits) =>
        Fault<JsonNode>(pointer, json, $"Expected {expected}{limits.OrAuto}, found {Kind(json)}.", Usual(limits, limits.Expected() ?? $"Give {expected}{limits.OrAuto}."));

    private static string Usual(Limits limits, string? allowed) =>
        limits.Default is { } usual ? $"{allowed ?? "Give another value."} The default is {usual}." : allowed ?? "Give another value.";

    private T? Fault<T>(string pointer, JsonElement value, string message, string remedy) where T : class
    {
        Fault(pointer, value, message, remedy);
        return null;
    }

    private void Fault(string pointer, JsonElement value, string message, string remedy)
    {
        if (faults.All.Count < MostFaults)
            faults.Add(pointer, value.ValueKind == JsonValueKind.Undefined ? null : value.GetRawText().Trim('"'), message, remedy);
    }

    /// <summary>The known name that takes the fewest changes, if it is at all like the given one; otherwise all of them.</summary>
    private static string Suggest(string given, ICollection<string> known)
    {
        if (known.Count == 0)
            return "Leave it out: nothing can be set here.";
        var nearest = known.MinBy(name => Changes(given, name))!;
        return given.Length <= 64 && Changes(given, nearest) <= Math.Max(2, given.Length / 3)
            ? $"Did you mean {nearest}?"
            : $"Known here: {string.Join(", ", known.Order())}.";
    }

    /// <summary>Levenshtein distance; texts beyond 64 characters are cut.</summary>
    private static int Changes(string a, string b)
    {
        if (a.Length > 64)
            a = a[..64];
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
                (row[j], diagonal) = (Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)), row[j]);
        }
        return row[^1];
    }

    private static bool IsAuto(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Auto<>);

    private static bool IsOneOrMany(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(OneOrMany<>);

    /// <summary>A name as a part of a JSON pointer (RFC 6901).</summary>
    public static string Escape(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    private static string Kind(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };

    /// <summary>What a property says about its values.</summary>
    private sealed record Limits(JsonPropertyInfo? Property, JsonTypeInfo? Owner)
    {
        public string OrAuto { get; init; } = "";

        public object? Default => Property?.IsRequired == false && Owner?.CreateObject?.Invoke() is { } fresh && Property.Get?.Invoke(fresh) is { } usual
            ? usual is bool or Enum ? JsonSerializer.Serialize(usual, Owner.Options).Trim('"') : FormattableString.Invariant($"{usual}")
            : null;

        public T? Of<T>() where T : Attribute => Property?.AttributeProvider?.GetCustomAttributes(typeof(T), true).FirstOrDefault() as T;

        public string? Expected() => Of<RangeAttribute>() is not { } range ? null : string.Create(
            CultureInfo.InvariantCulture,
            $"Give a number {(range.MinimumIsExclusive ? "above" : "from")} {range.Minimum} {(range.MaximumIsExclusive ? "to below" : "to")} {range.Maximum}{Except()}{OrAuto}.");

        private string Except() => Of<DeniedValuesAttribute>() is { } denied ? $", but not {string.Join(", ", denied.Values)}" : "";
    }
}
