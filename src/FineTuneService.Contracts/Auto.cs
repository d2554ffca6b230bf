using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>A value, or <c>"auto"</c>: the server chooses, says why, and echoes what it chose.</summary>
[JsonConverter(typeof(AutoConverterFactory))]
public readonly record struct Auto<T>(T? Value) where T : struct
{
    public static implicit operator Auto<T>(T value) => new(value);

    public bool IsAuto => Value is null;

    /// <exception cref="InvalidOperationException">While it is still <c>auto</c>.</exception>
    public T Resolved => Value ?? throw new InvalidOperationException("An 'auto' value was read before it was resolved.");

    public override string ToString() => Value?.ToString() ?? "auto";
}

internal sealed class AutoConverterFactory : JsonConverterFactory
{
    public override bool CanConvert(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Auto<>);

    public override JsonConverter CreateConverter(Type type, JsonSerializerOptions options) =>
        (JsonConverter)Activator.CreateInstance(typeof(AutoConverter<>).MakeGenericType(type.GetGenericArguments()))!;

    private sealed class AutoConverter<T> : JsonConverter<Auto<T>> where T : struct
    {
        public override Auto<T> Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
        {
            if (reader.TokenType == JsonTokenType.String)
                return reader.ValueTextEquals("auto") ? default : throw new JsonException("Expected a number or \"auto\".");
            return new(JsonSerializer.Deserialize<T>(ref reader, options));
        }

        public override void Write(Utf8JsonWriter writer, Auto<T> auto, JsonSerializerOptions options)
        {
            if (auto.Value is { } value)
                JsonSerializer.Serialize(writer, value, options);
            else
                writer.WriteStringValue("auto");
        }
    }
}
