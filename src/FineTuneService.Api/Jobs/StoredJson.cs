using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Training;

namespace FineTuneService.Api.Jobs;

/// <summary>JSON columns that are read and written once for many answers: a job is polled far more often than it changes, and its specification is most of it.</summary>
/// <typeparam name="T">Immutable: answers share it.</typeparam>
public sealed class StoredJson<T> : JsonConverter<T> where T : class
{
    // A specification stored by another version may have members that this one does not know.
    private static readonly JsonSerializerOptions Stored = new(Catalog.Json) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };
    private static readonly ConditionalWeakTable<string, T> Parsed = []; // By the text's instance, which <see cref="JobRows"/> keeps.
    private static readonly ConditionalWeakTable<T, byte[]> Written = [];

    internal static T Parse(string json) => Parsed.GetValue(json, text => JsonSerializer.Deserialize<T>(text, Stored)!);

    public override T? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => JsonSerializer.Deserialize<T>(ref reader, Catalog.Json);

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WriteRawValue(Written.GetValue(value, parsed => JsonSerializer.SerializeToUtf8Bytes(parsed, Catalog.Json)), skipInputValidation: true);
}
