using System.Text.Json;
using System.Text.Json.Serialization;

namespace FineTuneService.Contracts;

/// <summary>A value, or a list of them, where the two differ in meaning: PEFT reads a string as a pattern and a list as names.</summary>
[JsonConverter(typeof(OneOrManyConverterFactory))]
public sealed record OneOrMany<T>
{
    public OneOrMany(T one) => (IsOne, Values) = (true, [one]);

    public OneOrMany(IReadOnlyList<T> many) => Values = many;

    public bool IsOne { get; }

    public IReadOnlyList<T> Values { get; }

    public override string ToString() => string.Join(", ", Values);
}

internal sealed class OneOrManyConverterFactory : JsonConverterFactory
{
    public override bool CanConvert(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(OneOrMany<>);

    public override JsonConverter CreateConverter(Type type, JsonSerializerOptions options) =>
        (JsonConverter)Activator.CreateInstance(typeof(OneOrManyConverter<>).MakeGenericType(type.GetGenericArguments()))!;

    private sealed class OneOrManyConverter<T> : JsonConverter<OneOrMany<T>>
    {
        public override OneOrMany<T> Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) => reader.TokenType == JsonTokenType.StartArray
            ? new(JsonSerializer.Deserialize<T[]>(ref reader, options)!)
            : new(JsonSerializer.Deserialize<T>(ref reader, options)!);

        public override void Write(Utf8JsonWriter writer, OneOrMany<T> value, JsonSerializerOptions options)
        {
            if (value.IsOne)
                JsonSerializer.Serialize(writer, value.Values[0], options);
            else
                JsonSerializer.Serialize(writer, value.Values, options);
        }
    }
}
