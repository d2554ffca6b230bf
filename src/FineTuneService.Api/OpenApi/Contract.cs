using System.Text.Json;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using FineTuneService.Training;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace FineTuneService.Api.OpenApi;

/// <summary>Makes a schema say what the reader of requests enforces: required fields, null, defaults; and calls other fields by their JSON names.</summary>
internal sealed partial class Contract : ISchemaFilter
{
    public void Apply(IOpenApiSchema schema, SchemaFilterContext context)
    {
        if (schema is not OpenApiSchema { Properties: { } shown } target)
            return;
        var contract = Catalog.Json.GetTypeInfo(context.Type);
        var fresh = contract.Properties.Any(property => property.IsRequired) ? null : contract.CreateObject?.Invoke();
        target.Description = Rename(target.Description);
        target.Required = contract.Properties.Where(property => property.IsRequired).Select(property => property.Name).ToHashSet();
        if (context.Type == typeof(SweepSpec)) // Which is read later, once the parameters are in it.
            shown["spec"] = context.SchemaGenerator.GenerateSchema(typeof(JobSpec), context.SchemaRepository);
        foreach (var property in contract.Properties)
        {
            if (!shown.TryGetValue(property.Name, out var shape) || shape is not OpenApiSchema value)
                continue;
            value.Description = Rename(value.Description);
            if (!property.IsGetNullable)
                value.Type &= ~JsonSchemaType.Null;
            if (fresh is not null && property.Get!(fresh) is { } usual && usual is not TrainingArguments)
                value.Default = JsonSerializer.SerializeToNode(usual, property.PropertyType, Catalog.Json);
        }
    }

    private static string? Rename(string? description) =>
        description is null ? null : MemberName().Replace(description, match => $"`{JsonNamingPolicy.SnakeCaseLower.ConvertName(match.Groups[1].Value)}`");

    [GeneratedRegex(@"FineTuneService(?:\.\w+)*\.(\w+)")]
    private static partial Regex MemberName();
}
