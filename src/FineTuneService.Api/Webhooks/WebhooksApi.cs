using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Webhooks;

public static class WebhooksApi
{
    public static IServiceCollection AddWebhooks(this IServiceCollection services)
    {
        services.AddOptions<WebhookSettings>().BindConfiguration("Webhooks").ValidateDataAnnotations().ValidateOnStart();
        return services.AddSingleton<ReceiverPolicy>().AddSingleton<WebhookSender>().AddSingleton<DeliveryClaims>().AddHostedService<WebhookDispatcher>().AddHostedService<WebhookRetention>();
    }

    public static void MapWebhooks(this IEndpointRouteBuilder routes)
    {
        var webhooks = routes.MapGroup("/webhooks").WithTags("Webhooks").RequireScopes("jobs");
        webhooks.MapPost("/", CreateWebhook.Handle).Accepts<NewWebhook>("application/json").Refuses(StatusCodes.Status409Conflict, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity);
        webhooks.MapGet("/", ReadWebhooks.List).Refuses(StatusCodes.Status422UnprocessableEntity);
        webhooks.MapGet("/{id}", ReadWebhooks.Get).Refuses(StatusCodes.Status404NotFound);
        webhooks.MapPatch("/{id}", ChangeWebhook.Handle).Accepts<WebhookChange>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity);
        webhooks.MapDelete("/{id}", DeleteWebhook.Handle).Refuses(StatusCodes.Status404NotFound);
        webhooks.MapPost("/{id}/rotate-secret", RotateSecret.Handle).Refuses(StatusCodes.Status404NotFound);
        webhooks.MapPost("/{id}/test", TestWebhook.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
        webhooks.MapGet("/{id}/deliveries", ReadDeliveries.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
        webhooks.MapPost("/{id}/deliveries/{message}/redeliver", Redeliver.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
    }
}
