using System.Text.Json.Nodes;
using FineTuneService.ClientGenerator;
using NJsonSchema;
using NJsonSchema.CodeGeneration;
using NJsonSchema.CodeGeneration.CSharp;
using NSwag;
using NSwag.CodeGeneration.CSharp;

// Writes the typed client that the API's approved description calls for: ClientGenerator openapi.json client.cs
var description = new Description(JsonNode.Parse(File.ReadAllText(args[0]))!.AsObject());
description.Simplify();
var document = await OpenApiDocument.FromJsonAsync(description.ToString());
var generator = new CSharpClientGenerator(document, new()
{
    ClassName = "FineTuneClient",
    ExceptionClass = "FineTuneException",
    GenerateExceptionClasses = false,
    UseBaseUrl = false,
    DisposeHttpClient = false,
    GenerateOptionalParameters = true,
    ResponseArrayType = "System.Collections.Generic.IReadOnlyList",
    CSharpGeneratorSettings =
    {
        Namespace = "FineTuneService.Client",
        JsonLibrary = CSharpJsonLibrary.SystemTextJson,
        JsonPolymorphicSerializationStyle = CSharpJsonPolymorphicSerializationStyle.SystemTextJson,
        SchemaType = SchemaType.OpenApi3,
        GenerateNullableReferenceTypes = true,
        GenerateOptionalPropertiesAsNullable = true,
        GenerateDefaultValues = false, // What is not said is the service's to choose.
        GenerateDataAnnotations = false,
        DateTimeType = "System.DateTimeOffset",
        ArrayType = "System.Collections.Generic.IReadOnlyList",
        ArrayInstanceType = "System.Collections.Generic.List",
        DictionaryType = "System.Collections.Generic.IReadOnlyDictionary",
        DictionaryInstanceType = "System.Collections.Generic.Dictionary",
        PropertyNameGenerator = new PascalNames(),
        EnumNameGenerator = new PascalNames(),
    },
});

// NSwag names an enumeration's members for another library; System.Text.Json has a name of its own for that.
var code = generator.GenerateFile().ReplaceLineEndings("\n")
    .Replace("[System.Runtime.Serialization.EnumMember(Value = ", "[System.Text.Json.Serialization.JsonStringEnumMemberName(", StringComparison.Ordinal);
File.WriteAllText(args[1], code);

namespace FineTuneService.ClientGenerator
{
    /// <summary><c>base_model</c> is <c>BaseModel</c>.</summary>
    internal sealed class PascalNames : IPropertyNameGenerator, IEnumNameGenerator
    {
        public string Generate(JsonSchemaProperty property) => Pascal(property.Name);

        public string Generate(int index, string? name, object? value, JsonSchema schema) => Pascal(name ?? $"{value}") is var pascal && char.IsDigit(pascal[0]) ? $"_{pascal}" : pascal;

        private static string Pascal(string name) => string.Concat(name.Split('_', '-', '.', ' ').Select(word => word.Length == 0 ? "" : char.ToUpperInvariant(word[0]) + word[1..]));
    }
}
