using System.Reflection;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace FineTuneService.Api.OpenApi;

public static class OpenApiDocument
{
    /// <summary>The name of the security scheme.</summary>
    internal const string Key = "key";

    /// <summary>The description of this API, at <c>/swagger</c> for people and <c>/swagger/v1/swagger.json</c> for programs.</summary>
    public static IServiceCollection AddOpenApiDocument(this IServiceCollection services) => services
        .AddEndpointsApiExplorer()
        .AddSingleton<ISerializerDataContractResolver>(new JsonSerializerDataContractResolver(Catalog.Json))
        .AddSwaggerGen(options =>
        {
            options.SwaggerDoc("v1", new()
            {
                Title = "FineTuneService",
                Version = "v1",
                Description = "Fine-tunes Hugging Face models. Upload a dataset, post a job, follow it, download a checkpoint that transformers loads as it is.",
            });
            foreach (var documentation in Directory.EnumerateFiles(AppContext.BaseDirectory, "FineTuneService.*.xml"))
                options.IncludeXmlComments(documentation);
            options.UseAllOfToExtendReferenceSchemas();
            options.UseOneOfForPolymorphism();
            options.SelectSubTypesUsing(type => type == typeof(TaskConfig) ? Catalog.Tasks.Values : type == typeof(MethodConfig) ? Catalog.Methods.Values : Strategies(type).Select(strategy => strategy.DerivedType));
            options.SelectDiscriminatorNameUsing(type => type == typeof(TaskConfig) || type == typeof(MethodConfig) || type == typeof(SweepStrategy) ? "type" : null);
            options.SelectDiscriminatorValueUsing(type => type.IsSubclassOf(typeof(TaskConfig)) || type.IsSubclassOf(typeof(MethodConfig)) ? Catalog.NameOf(Activator.CreateInstance(type)!) : Strategies(typeof(SweepStrategy)).FirstOrDefault(strategy => strategy.DerivedType == type)?.TypeDiscriminator as string);
            options.MapType<Stream>(() => new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" });
            options.MapType<Auto<double>>(() => AutoSchema(JsonSchemaType.Number));
            options.MapType<Auto<int>>(() => AutoSchema(JsonSchemaType.Integer));
            options.MapType<OneOrMany<string>>(() => OneOrManySchema(JsonSchemaType.String));
            options.MapType<OneOrMany<int>>(() => OneOrManySchema(JsonSchemaType.Integer));
            options.CustomSchemaIds(NameOf);
            options.CustomOperationIds(OperationNames.Of);
            options.SchemaFilter<Contract>();
            options.AddSecurityDefinition(Key, new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "A key of this service, or a token of its identity provider." });
            options.OperationFilter<Operations>();
        });

    private static IEnumerable<JsonDerivedTypeAttribute> Strategies(Type type) => type == typeof(SweepStrategy) ? type.GetCustomAttributes<JsonDerivedTypeAttribute>() : [];

    /// <summary>JobView is called Job, and a page of them JobPage.</summary>
    private static string NameOf(Type type) => type.IsGenericType ? $"{NameOf(type.GenericTypeArguments[0])}Page" : type.Name.EndsWith("View", StringComparison.Ordinal) ? type.Name[..^4] : type.Name;

    private static OpenApiSchema AutoSchema(JsonSchemaType number) => new()
    {
        OneOf = [new OpenApiSchema { Type = number }, new OpenApiSchema { Type = JsonSchemaType.String, Enum = [JsonValue.Create("auto")] }],
    };

    private static OpenApiSchema OneOrManySchema(JsonSchemaType one) => new()
    {
        OneOf = [new OpenApiSchema { Type = one }, new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = one } }],
    };
}
